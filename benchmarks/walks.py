"""Where does the lead of better seeds go: into the edges, or into the walk? No network is trained here.

    python benchmarks/walks.py --preset voc_animals --run-dir runs/animals --data-root … --crf dense --write

The CAMs of the baseline and of the full method walk within the edges of both relation networks of a finished run, and
within their own for fewer steps. `--write` puts the rows into book/results/walks.json, in the place of those of the
same preset, random seed and CRF.
"""

import argparse
from itertools import product
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from sscnb.datasets import inner_size
from sscnb.evaluation import ThresholdCurve
from sscnb.evidence import STEPS, replace_rows
from sscnb.networks import device_name
from sscnb.refinement import random_walk, walk_scores
from sscnb.stages import Run, load_grid_cams, load_irn, open_run, provenance, walk

ENDS = (STEPS[0], STEPS[-1])
FEWER = (0, 4, 16, 64)  # steps


@torch.no_grad()
def measure(run: Run, crf: str) -> list[dict[str, Any]]:
    """Return rows of the pseudo-masks of the seed split: whose CAMs, in whose edges, after how many steps."""
    dataset, data, pseudo = run.dataset(), run.config.data, run.config.pseudo
    nets = {variant: load_irn(run, variant, run.seed, crf) for variant in ENDS}
    cases = [(cams, edges, pseudo.steps) for cams, edges in product(ENDS, ENDS)]
    cases += [(variant, variant, steps) for variant, steps in product(ENDS, FEWER)]
    curves = {case: ThresholdCurve(len(dataset.classes) + 1) for case in cases}
    for image_id in tqdm(dataset.ids(data.seed_split), desc=f"walks, CRF {crf}", unit="img", mininterval=0.5):
        target = dataset.mask(image_id)
        inner = inner_size(target.shape, run.config.irn.long_side)
        edges = {variant: walk(run, net, variant, run.seed, image_id, steps=0)[0] for variant, net in nets.items()}
        for (variant, of_edges, steps), curve in curves.items():
            edge = edges[of_edges]
            cams, classes = load_grid_cams(run, variant, run.seed, image_id, tuple(edge.shape))
            maps = torch.from_numpy(cams).to(edge.device)
            walked = random_walk(maps, edge, radius=pseudo.radius, beta=pseudo.beta, steps=steps, tol=pseudo.tol)
            scores = torch.from_numpy(walk_scores(walked, inner))[None]
            scores = F.interpolate(scores, size=target.shape, mode="bilinear", align_corners=False)[0]
            curve.update(scores.numpy(), classes, target)
    rows = []
    labels = {"preset": run.config.preset, "seed": run.seed, "crf": crf, "split": data.seed_split}
    labels |= {"device": device_name(), **provenance()}
    for (variant, of_edges, steps), curve in curves.items():
        fixed, miou, errors = int(np.argmin(abs(curve.thresholds - pseudo.threshold))), curve.miou(), curve.errors()
        values = {"pseudo/mIoU": miou[fixed], "pseudo/best_mIoU": curve.best()[1]}
        values |= {f"pseudo/{name}": errors[name][fixed] for name in ("over", "under")}
        case = {"variant": variant, "edges": of_edges, "steps": steps}
        rows += [labels | case | {"metric": name, "value": float(value)} for name, value in values.items()]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--run-dir", default="", help="a finished run (default: runs/<preset>)")
    parser.add_argument("--data-root", default="", help="a VOC-layout folder, for presets that read one")
    parser.add_argument("--seed", type=int, default=0, help="random seed")
    parser.add_argument("--crf", default="dense", choices=["dense", "none"], help="of the relation labels")
    parser.add_argument("--write", action="store_true", help="keep the rows with the book")
    options = parser.parse_args()
    run = open_run(options.preset, options.run_dir, options.data_root, options.seed)
    rows = measure(run, options.crf)
    for row in rows:
        print(row["variant"], "in edges of", row["edges"], row["steps"], row["metric"], f"{100 * row['value']:.1f}")
    if options.write:
        replace_rows("walks", rows, ("preset", "seed", "crf"))


if __name__ == "__main__":
    main()
