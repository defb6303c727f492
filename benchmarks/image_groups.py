"""On which images does a step of the ladder help? By how much of them objects cover, and by how many classes there are.

    python benchmarks/image_groups.py --run-dir runs/small --write

Nothing is trained or inferred: each image's own mIoU stands in the results of the seeds and of the pseudo-masks. Images
are put into four groups of equal number by the share of their pixels that show an object, and into those of one class
and of several. What the run folder lacks is left out.
`--write` puts the rows into book/results/image_groups.json, in the place of those of the same preset and change.
"""

import argparse
from typing import Any

import numpy as np

from sscnb.evidence import LOWER, STEPS, groups_by_classes, groups_by_share, object_share, replace_rows
from sscnb.evidence.interventions import CHANGES
from sscnb.stages import Run, open_run
from sscnb.stages.stage import read_results


def measure(run: Run, change: str) -> list[dict[str, Any]]:
    """Return rows of the mean of the images' own mIoU, a row a variant, random seed, masks and group."""
    dataset, ids, rows = run.dataset(), run.dataset().ids(run.config.data.seed_split), []
    shares = {image_id: object_share(dataset.mask(image_id)) for image_id in ids}
    groups = [("share", place, own) for place, own in enumerate(groups_by_share(shares))]
    groups += [("classes", place, own) for place, own in enumerate(groups_by_classes(dataset, ids)) if own]
    folders = [path for v in (*STEPS, LOWER) for path in sorted(run.cam_folder(v).parent.glob("seed*/seeds"))]
    folders += [path for v in STEPS for path in sorted(run.irn_folder(v).parents[1].glob("seed*/*/evaluation"))]
    for found in map(read_results, folders):
        origin = next(row for row in found["rows"] if row["metric"] in ("seed/mIoU", "pseudo/mIoU"))
        for by, place, own in groups:
            values = [found["images"][i] for i in own if found["images"][i] is not None]
            group = {"by": by, "group": place, "images": len(own)}
            group["share"] = float(np.median([shares[i] for i in own]))
            value = {"metric": origin["metric"].replace("mIoU", "image_mIoU"), "value": float(np.mean(values))}
            rows.append(origin | value | group | {"change": change})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--run-dir", default="", help="a run with seeds of the steps (default: runs/<preset>)")
    parser.add_argument("--data-root", default="", help="a VOC-layout folder, for presets that read one")
    parser.add_argument("--change", default="", choices=["", *CHANGES], help="of interventions.py, whose run it is")
    parser.add_argument("--write", action="store_true", help="keep the rows with the book")
    options = parser.parse_args()
    overrides = dict(CHANGES[options.change].overrides) if options.change else {}
    rows = measure(open_run(options.preset, options.run_dir, options.data_root, 0, overrides), options.change)
    for row in rows:
        print(row["variant"], row["seed"], row["by"], f"share {row['share']:.2f}: {100 * row['value']:.1f}")
    if options.write:
        replace_rows("image_groups", rows, ("preset", "change"))


if __name__ == "__main__":
    main()
