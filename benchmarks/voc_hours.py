"""What the full-size presets ask for: operations and memory of a step or an image of every stage, and how many.

    python benchmarks/voc_hours.py --write     # rows into book/results/voc_check.json: some minutes, little memory

Images are of 500x375 pixels, as most of VOC's; steps follow from the settings and from 10,582 training and 1,449
validation images; the 1,464 whose seeds are measured are predicted too. `sscnb.evidence.plan` counts, as for `reproduce
--dry-run`; `sscnb.evidence.hours` makes the tables.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from sscnb.evidence.hours import plan_text
from sscnb.evidence.plan import Images, plan_rows
from sscnb.files import read_json, write_json
from sscnb.settings import load_config, refined_variants
from sscnb.stages import provenance

RESULTS = Path(__file__).parent.parent / "book/results/voc_check.json"
PRESETS = {
    "voc": Images(10_582, 1_449, 1_464 + 1_449, 20, (375, 500)),
    "voc_released": Images(10_582, 1_449, 1_464 + 1_449, 20, (375, 500)),
    "voc_animals": Images(1_000, 211, 398 + 211, 20, (375, 500)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"rows into {RESULTS.name}")
    options = parser.parse_args()
    rows = []
    for preset, images in PRESETS.items():
        config = load_config(preset)
        counted = plan_rows(config, images, [*refined_variants(config), "truth"])
        print(f"{preset}\n\n{plan_text(counted)}\n", flush=True)
        about = {"utc": datetime.now(UTC).isoformat(timespec="seconds"), **provenance()}
        rows += [{**row, **about} for row in counted]
    if options.write:
        kept = [row for row in read_json(RESULTS)["rows"] if row["metric"] != "TFLOP"] if RESULTS.exists() else []
        write_json(RESULTS, {"rows": [*kept, *rows]})


if __name__ == "__main__":
    main()
