"""How long a preset would take: operations counted, divided by what a machine sustains, which is assumed.

`sscnb.evidence.plan` makes the rows that are counted, `benchmarks/voc_two_iterations.py` those that were measured.
"""

import textwrap
from collections.abc import Sequence
from typing import Any

from sscnb.evidence.report import NOT_RUN, markdown_table

Rows = Sequence[dict[str, Any]]
Span = tuple[float, float]

# TFLOP/s from low to high, on GPUs of 24 GB. Assumed, not measured: a sixth to two fifths of what the data sheets of
# such cards (A10, RTX 3090, RTX 4090) print, 31 to 83 in float32, 36 to 83 in TF32, 71 to 165 in two bytes.
SUSTAINED = {"no": (8.0, 25.0), "tf32": (12.0, 35.0), "bf16": (20.0, 60.0), "fp16": (20.0, 60.0)}
# What trainings and inferences came to on two cores: small networks on photographs (book/results/voc_animals.json),
# large ones, on one core (voc_check.json).
TWO_CORES = (0.01, 0.1)
_STEPS = {
    "cam": "CAM network",
    "cams": "its CAMs",
    "irn": "relation network",
    "pseudo": "its edges",
    "segmentation": "segmentation",
    "predictions": "its predictions",
}
_HEAD = ["what", "of", "networks", "each", "TFLOP", "GiB", "hours, GPU of 24 GB", "hours, two cores"]
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
    "train_predictions": "predictions of the seeds' images",
    "train_eval": "those, measured",
}
_IMAGES = 10_582  # of VOC's training split with SBD's


def plan_table(rows: Rows) -> str:
    """Return what presets run as Markdown, one table a preset, and where its rows, of `plan_rows`, are from."""
    counted = [row for row in rows if row["metric"] == "TFLOP"]
    if not counted:
        return f"{NOT_RUN.capitalize()}."
    parts = []
    for preset in dict.fromkeys(row["preset"] for row in counted):
        lines = _lines([row for row in counted if row["preset"] == preset])
        lines[-1] = [f"**{cell}**" if cell else "" for cell in lines[-1]]
        parts += [f"**`{preset}`**", markdown_table(_HEAD, lines, numbers=6)]
    origin = f"Counted by `benchmarks/voc_hours.py` at commit `{counted[0]['commit']}`, {counted[0]['utc'][:10]}."
    return "\n\n".join([*parts, f"{_assumption()} {origin}"]) + "\n"


def plan_text(rows: Rows) -> str:
    """Return what one preset runs as a table for a terminal."""
    table = [_HEAD, *_lines(rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    text = [
        "  ".join(cell.ljust(n) if place < 2 else cell.rjust(n) for place, (cell, n) in enumerate(cells))
        for cells in (list(zip(line, widths, strict=True)) for line in table)
    ]
    return "\n".join([*text, "", textwrap.fill(_assumption(), 100)])


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


def _lines(rows: Rows) -> list[list[str]]:
    """Return the cells of a preset's rows, and of their sums."""
    lines = []
    for row in rows:
        each = f"{row['times']:,} {'steps of ' + str(row['batch']) if 'batch' in row else 'images'}"
        memory = f"{row['gib']:.1f}" if row["gib"] else ""
        hours = [_span(_hours(row, rates)) for rates in (SUSTAINED[row["precision"]], TWO_CORES)]
        lines.append([_STEPS[row["stage"]], row["of"], str(row["runs"]), each, _number(row["value"]), memory, *hours])
    on_gpu = [_hours(row, SUSTAINED[row["precision"]]) for row in rows]
    on_cores = [_hours(row, TWO_CORES) for row in rows]
    sums = [_span((sum(low for low, _ in of), sum(high for _, high in of))) for of in (on_gpu, on_cores)]
    return [*lines, ["together", *[""] * 5, *sums]]


def _hours(row: dict[str, Any], rates: Span) -> Span:
    """Return the fewest and the most hours that a row's operations take, in all of its networks."""
    slow, fast = rates
    operations = row["value"] * row["times"] * row["runs"]
    return operations / fast / 3600, operations / slow / 3600


def _span(hours: Span) -> str:
    low, high = (_number(value, digits=2) for value in hours)
    return low if low == high else f"{low} to {high}"


def _number(value: float, digits: int = 3) -> str:
    digits = 0 if value >= 10 else 1 if value >= 1 else digits
    least = 10**-digits
    return f"{value:,.{digits}f}" if value >= least else f"< {least:g}"


def _assumption() -> str:
    kinds = {"float32": "no", "TF32": "tf32", "bf16 and fp16": "fp16"}
    rates = (f"{low:g} to {high:g} in {name}" for name, (low, high) in ((n, SUSTAINED[k]) for n, k in kinds.items()))
    low, high = TWO_CORES
    return (
        "TFLOP: operations of convolutions and matrix products, of a training step or an image. GiB: a training step, "
        "counted without a CUDA context. Hours are an estimate, of all networks of the line one after the other: "
        f"operations at an assumed {', '.join(rates)} TFLOP/s on the GPU, a sixth to two fifths of what the data "
        f"sheets of A10, RTX 3090 and RTX 4090 promise, and at {low:g} to {high:g} on two cores, as was "
        "measured. Loading images, the dense CRF and measuring come on top."
    )


def _on_processor(values: dict[tuple[str, str, str], dict[str, Any]], preset: str) -> str:
    """Say how long the two stages that no GPU helps would take for all training images, on one such core."""
    parts = []
    for stage in ("superpixels", "ir_labels"):
        row = values.get((preset, stage, "s"))
        if row:
            parts.append(f"{_CHECKED[stage]} {row['value'] / row['images'] * _IMAGES / 3600:.1f}")
    return f"Hours of one such core for {_IMAGES:,} training images: {', '.join(parts)}."
