"""On which images does a step of the ladder help? Seeds by how much of the image its objects cover.

    python benchmarks/object_size.py --run-dir runs/small --write

Nothing is trained or inferred: each image's own mIoU stands in the results of its seeds. Images are put into four
groups of equal number by the share of their pixels that show an object. `--write` puts the rows into
book/results/object_size.json, in the place of those of the same preset and change.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from sscnb.evidence import STEPS, groups_by_share, object_share
from sscnb.files import read_json, write_json
from sscnb.stages import Run, open_run
from sscnb.stages.stage import read_results

RESULTS = Path(__file__).parent.parent / "book/results/object_size.json"


def measure(run: Run, change: str) -> list[dict[str, Any]]:
    """Return rows of the mean of the images' own mIoU, for each variant, random seed and group of images."""
    dataset, split = run.dataset(), run.config.data.seed_split
    shares = {image_id: object_share(dataset.mask(image_id)) for image_id in dataset.ids(split)}
    groups, rows = groups_by_share(shares), []
    for variant in STEPS:
        for folder in sorted(run.cam_folder(variant).parent.glob("seed*/seeds")):
            found = read_results(folder)
            origin = next(row for row in found["rows"] if row["metric"] == "seed/mIoU")
            for place, ids in enumerate(groups):
                own = [found["images"][image_id] for image_id in ids]
                group = {"group": place, "images": len(ids), "share": float(np.median([shares[i] for i in ids]))}
                value = {"metric": "seed/image_mIoU", "value": float(np.mean([v for v in own if v is not None]))}
                rows.append(origin | value | group | {"change": change})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--run-dir", default="", help="a run with seeds of the steps (default: runs/<preset>)")
    parser.add_argument("--data-root", default="", help="a VOC-layout folder, for presets that read one")
    parser.add_argument("--change", default="", help="what differs from the preset, as in interventions.py")
    parser.add_argument("--overrides", default={}, type=json.loads, help="the run's, as JSON")
    parser.add_argument("--write", action="store_true", help="keep the rows with the book")
    options = parser.parse_args()
    rows = measure(open_run(options.preset, options.run_dir, options.data_root, 0, options.overrides), options.change)
    for row in rows:
        print(row["variant"], row["seed"], f"share {row['share']:.2f}: {100 * row['value']:.1f}")
    if options.write:
        kept = read_json(RESULTS, {"rows": list})["rows"] if RESULTS.is_file() else []
        others = [row for row in kept if (row["preset"], row["change"]) != (options.preset, options.change)]
        write_json(RESULTS, {"rows": others + rows})


if __name__ == "__main__":
    main()
