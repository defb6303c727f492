"""Where does suppression gain or cost: in training, or in the maps of a trained network? Nothing is trained here.

    python benchmarks/suppression.py --preset small --run-dir runs/small --write

The networks of a finished run, baseline and + DRS, are shown the images once with suppression and once without,
whatever they were trained with. `--write` puts the rows into book/results/suppression.json, in the place of those of
the same preset.
"""

import argparse
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from sscnb.datasets import image_size, inner_size, pyramid
from sscnb.evaluation import ThresholdCurve
from sscnb.evidence import replace_rows
from sscnb.method import CAMNet, Suppression, full_activation, scale_maps
from sscnb.networks import device, device_name, to_tensor
from sscnb.stages import Run, load_cam_net, open_run, provenance


@torch.no_grad()
def threshold_curve(run: Run, net: CAMNet, split: str) -> ThresholdCurve:
    """Return the threshold curve of the seeds that a network makes of a split, one image at a time."""
    dataset, inference = run.dataset(), run.config.inference
    curve = ThresholdCurve(len(dataset.classes) + 1)
    for image_id in tqdm(dataset.ids(split), desc=split, unit="img", mininterval=0.5):
        images = pyramid(dataset.image(image_id), inference.scales, inference.long_side)
        maps = scale_maps(net, [to_tensor(image)[None].to(device()) for image in images], flip=inference.flip)[1]
        present = np.flatnonzero(dataset.labels(image_id))
        inner = inner_size(image_size(dataset.image_path(image_id)), inference.long_side)
        target = dataset.mask(image_id)
        own = [of_scale[0, present].cpu() for of_scale in maps]
        scores = full_activation(own, inner, stride=run.config.cam.output_stride, size=target.shape)
        curve.update(scores.numpy(), present + 1, target)
    return curve


def measure(run: Run, variant: str, suppressed: bool) -> list[dict[str, Any]]:
    """Measure the seeds of a trained network with or without suppression of its maps; return rows."""
    net, data = load_cam_net(run, variant, run.seed), run.config.data
    net.suppression = Suppression(run.config.cam.fidelity, run.config.cam.delta) if suppressed else None
    tuned = threshold_curve(run, net, data.val_split).best()[0]
    curve = threshold_curve(run, net, data.seed_split)
    fixed, at = (int(np.argmin(abs(curve.thresholds - t))) for t in (run.config.inference.threshold, tuned))
    miou, errors = curve.miou(), curve.errors()
    values = {"seed/mIoU": miou[fixed], "seed/tuned_mIoU": miou[at]}
    values |= {f"seed/{name}": errors[name][fixed] for name in ("over", "under")}
    labels = {"preset": run.config.preset, "variant": variant, "suppressed": suppressed, "seed": run.seed}
    labels |= {"split": data.seed_split, "device": device_name(), **provenance()}
    return [labels | {"metric": name, "value": float(value)} for name, value in values.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--run-dir", default="", help="a finished run (default: runs/<preset>)")
    parser.add_argument("--data-root", default="", help="a VOC-layout folder, for presets that read one")
    parser.add_argument("--write", action="store_true", help="keep the rows with the book")
    options = parser.parse_args()
    run = open_run(options.preset, options.run_dir, options.data_root)
    rows = []
    for variant in ("baseline", "drs"):
        for suppressed in (False, True):
            rows += measure(run, variant, suppressed)
            print(variant, "suppressed" if suppressed else "as it is", {r["metric"]: r["value"] for r in rows[-4:]})
    if options.write:
        replace_rows("suppression", rows, ("preset",))


if __name__ == "__main__":
    main()
