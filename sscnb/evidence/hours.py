"""How long the full-size presets would take: operations counted, divided by what a GPU sustains, which is assumed.

`benchmarks/voc_hours.py` makes the rows that are counted, `benchmarks/voc_two_iterations.py` those that were measured.
"""

from collections.abc import Sequence
from typing import Any

from sscnb.evidence.report import NOT_RUN, markdown_table

Rows = Sequence[dict[str, Any]]

# TFLOP/s from low to high, on GPUs of 24 GB. Assumed, not measured: a quarter to two fifths of what the data sheets of
# such cards (A10, RTX 3090, RTX 4090) print, 31 to 83 in float32, 36 to 83 in TF32, 71 to 165 in two bytes.
SUSTAINED = {"no": (8.0, 25.0), "tf32": (12.0, 35.0), "bf16": (20.0, 60.0), "fp16": (20.0, 60.0)}
_STEPS = {
    "cam": "CAM network",
    "cams": "its CAMs",
    "irn": "relation network",
    "pseudo": "its edges",
    "segmentation": "segmentation",
    "predictions": "its predictions",
}
_CHECKED = {
    "data": "data",
    "superpixels": "superpixels",
    "cam": "CAM network, two steps",
    "cams": "CAMs",
    "seeds": "seeds, measured",
    "ir_labels": "relation labels",
    "irn": "relation network, two steps",
    "pseudo": "edges, walks, pseudo-masks",
    "pseudo_eval": "pseudo-masks, measured",
    "segmentation": "segmentation, two steps",
    "predictions": "predictions",
    "segmentation_eval": "predictions, measured",
}
_IMAGES = 10_582  # of VOC's training split with SBD's


def hours_table(rows: Rows) -> str:
    """Return the hours of every stage of the full-size presets as Markdown: of one run of SSC, and of all.

    Args:
        rows: of metric "TFLOP", with the precision of the products, how often a run has them ("times") and how many
            runs a preset has ("runs").
    """
    counted = [row for row in rows if row["metric"] == "TFLOP"]
    if not counted:
        return f"{NOT_RUN.capitalize()}."
    head = ["preset", "stage", "products in", "TFLOP each", "how many", "SSC, one seed: hours", "runs", "all: hours"]
    lines = []
    for preset in dict.fromkeys(row["preset"] for row in counted):
        sums = [(0.0, 0.0), (0.0, 0.0)]
        for stage, name in _STEPS.items():
            found = [row for row in counted if (row["preset"], row["stage"]) == (preset, stage)]
            of_ssc = [row for row in found if row.get("variant", "ssc") == "ssc"]
            if not of_ssc:
                continue
            one, every = _hours(of_ssc, runs=False), _hours(found, runs=True)
            sums = [(a + c, b + d) for (a, b), (c, d) in zip(sums, (one, every), strict=True)]
            row, runs = of_ssc[0], sum(row["runs"] for row in found)
            precision = "float32" if row["precision"] == "no" else row["precision"]
            what = f"{row['times']:,} {'steps' if 'batch' in row else 'images'}"
            lines.append(
                [f"`{preset}`", name, precision, _number(row["value"]), what, _span(one), str(runs), _span(every)]
            )
        lines.append([f"`{preset}`", "**together**", "", "", "", f"**{_span(sums[0])}**", "", f"**{_span(sums[1])}**"])
    origin = f"Counted by `benchmarks/voc_hours.py` at commit `{counted[0]['commit']}`, {counted[0]['utc'][:10]}."
    return f"{markdown_table(head, lines, numbers=5)}\n\n{_assumption()} {origin}\n"


def check_table(rows: Rows) -> str:
    """Return seconds and largest resident memory of two steps of every stage as Markdown, and what the rest takes.

    Args:
        rows: of metrics "stage seconds" and "resident peak".
    """
    found = [row for row in rows if row["metric"] in ("stage seconds", "resident peak")]
    presets = list(dict.fromkeys(row["preset"] for row in found))
    if not presets:
        return f"{NOT_RUN.capitalize()}."
    values = {(row["preset"], row["stage"], row["unit"]): row for row in found}
    head = ["stage", "images", *(f"`{preset}`: {unit}" for preset in presets for unit in ("s", "GiB"))]
    lines = []
    for stage, name in _CHECKED.items():
        cells = [values.get((preset, stage, unit)) for preset in presets for unit in ("s", "GiB")]
        if not any(cells):
            continue
        images = next(str(row["images"]) for row in cells if row)
        lines.append([name, images, *(f"{row['value']:.1f}" if row else NOT_RUN for row in cells)])
    row = found[0]
    about = (
        f"`benchmarks/voc_two_iterations.py`: segmentation at batch {row['segmentation_batch']} and in float32, the "
        f"rest as the presets have it; CRF {row['crf']}; device {row['device']}, {row['machine']}, {row['threads']} "
        f"thread{'s' if row['threads'] > 1 else ''}, {row['utc'][:10]}, commit `{row['commit']}`."
    )
    return f"{markdown_table(head, lines, numbers=len(head) - 1)}\n\n{about}\n\n{_on_processor(values, presets[0])}\n"


def _hours(rows: Rows, *, runs: bool) -> tuple[float, float]:
    """Return the fewest and the most hours that the rows' operations take, in one run or in all."""
    low, high = 0.0, 0.0
    for row in rows:
        slow, fast = SUSTAINED[row["precision"]]
        seconds = row["value"] * row["times"] * (row["runs"] if runs else 1)
        low, high = low + seconds / fast / 3600, high + seconds / slow / 3600
    return low, high


def _span(hours: tuple[float, float]) -> str:
    return " to ".join(_number(value) for value in hours)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _assumption() -> str:
    kinds = {"float32": "no", "TF32": "tf32", "bf16 and fp16": "fp16"}
    rates = (f"{low:g} to {high:g} in {name}" for name, (low, high) in ((n, SUSTAINED[k]) for n, k in kinds.items()))
    return (
        f"An estimate that nobody has checked here: operations of convolutions and matrix products, at an assumed "
        f"{', '.join(rates)} TFLOP/s: a quarter to two fifths of what the data sheets of A10, RTX 3090 and RTX 4090 "
        "promise."
    )


def _on_processor(values: dict[tuple[str, str, str], dict[str, Any]], preset: str) -> str:
    """Say how long the two stages that no GPU helps would take for all training images, on one such core."""
    parts = []
    for stage in ("superpixels", "ir_labels"):
        row = values.get((preset, stage, "s"))
        if row:
            parts.append(f"{_CHECKED[stage]} {row['value'] / row['images'] * _IMAGES / 3600:.1f}")
    return f"Hours of one such core for {_IMAGES:,} training images: {', '.join(parts)}."
