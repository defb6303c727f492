"""What a training step costs, as Markdown: variant by way of taking the step."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from sscnb.evidence import paper
from sscnb.evidence.metrics import describe
from sscnb.evidence.report import NOT_RUN, markdown_table
from sscnb.settings import VARIANTS

Rows = Sequence[dict[str, Any]]
_KINDS = ("peak memory", "resident peak", "seconds per step", "speed-up")


def cost_table(costs: Rows) -> str:
    """Return costs as Markdown: a part for each quantity, in it a table for each setting, variant by way.

    The longer of the two runs down the lines. What has no row stays empty.
    """
    text = []
    for metric in _KINDS:
        rows = [row for row in costs if row["metric"] == metric]
        if not rows:
            continue
        heading = describe(metric).heading
        text.append(f"## {heading[0].upper()}{heading[1:]}")
        for setting in dict.fromkeys(_setting(row) for row in rows):
            text += [f"{setting}:", _crossed([row for row in rows if _setting(row) == setting])]
        threads = f", {rows[0]['threads']} threads" if "threads" in rows[0] else ""
        text.append(f"Device {rows[0]['device']}, {rows[0]['machine']}{threads}, {rows[0]['utc'][:10]}.")
    return "\n\n".join(text) or "Not measured."


def _crossed(rows: Rows) -> str:
    """Return the rows of one quantity and setting as a table."""
    variants, ways = ([*dict.fromkeys(row[key] for row in rows)] for key in ("variant", "options"))
    ways.sort(key=lambda way: way.startswith("ours"))  # last, in their own order
    values = {(row["variant"], row["options"]): f"{row['value']:.2f}" for row in rows}
    titles = [VARIANTS[variant].title for variant in variants]
    if len(ways) > len(variants):
        lines = [[way, *(values.get((variant, way), "") for variant in variants)] for way in ways]
        return markdown_table(["step", *titles], lines, numbers=len(variants))
    lines = [[title, *(values.get((v, way), "") for way in ways)] for v, title in zip(variants, titles, strict=True)]
    return markdown_table(["variant", *ways], lines, numbers=len(ways))


def _setting(row: dict[str, Any]) -> str:
    of = row["setting"]
    return f"Preset `{of['preset']}`, {of['backbone']}, batch {of['batch']}, {of['crop']} px, {of['classes']} classes"


def speed_table(rows: Rows) -> str:
    """Return the seconds of each stage's work by an earlier commit's code and by today's, as Markdown.

    Beside them, what today's code reaches in operations a second, counted as `operations.py` does.
    """
    if not rows:
        return "Not measured."
    of = rows[0]
    lines = []
    for row in rows:
        rate = f"{row['gflop'] / row['after']:.0f}" if row["gflop"] else ""
        lines.append([row["work"], f"{row['before']:.3f}", f"{row['after']:.3f}", f"{row['value']:.2f}", rate])
    loads = [row["load"] for row in rows]
    about = (
        f"Medians of {of['repetitions']} turns on one thread: {of['processor']}, {of['machine']}, load {min(loads)} to "
        f"{max(loads)}, {of['utc'][:10]}, today's code at `{of['commit_after']}`."
    )
    head = ["work", f"`{of['commit_before'][:7]}` (s)", "today (s)", "times as fast", "GFLOP/s today"]
    return f"{markdown_table(head, lines, numbers=4)}\n\n{about}"


def memory_table(costs: Rows) -> str:
    """Return Table IX as Markdown: the memory of a training step, printed and followed without a GPU."""
    steps = ("straightforward", "ours", "ours, bf16")
    head = ["method", "paper (GB)", *(f"{step} (GiB)" for step in steps)]
    lines = []
    for variant, value in zip(("baseline", "drs", "drs+cdr", "ssc"), paper.load(9)["gpu_gb"], strict=True):
        cells = []
        for step in steps:
            found = [
                r["value"]
                for r in costs
                if (r["metric"], r["variant"], r["options"]) == ("peak memory", variant, step)
                and r["setting"]["preset"] == "voc"
            ]
            cells.append(f"{found[0]:.1f}" if found else NOT_RUN)
        lines.append([VARIANTS[variant].title, "not printed" if pd.isna(value) else f"{value:.1f}", *cells])
    return markdown_table(head, lines, numbers=4)
