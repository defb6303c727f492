"""What came out, in sentences made of rows: for the first screen of README and book."""

from collections.abc import Mapping, Sequence
from typing import Any

from sscnb.evidence import paper
from sscnb.evidence.claims import check_claims
from sscnb.evidence.report import NOT_RUN, by_rule, describe_rows, own_split, value_text
from sscnb.settings import LADDER, VARIANTS

Rows = Sequence[dict[str, Any]]


_RULES = {"": "at the fixed threshold", "tuned_": "at the threshold that is best on `val`"}


def in_words(sets: Mapping[str, Rows]) -> str:
    """Return a paragraph a set of rows: from baseline to the last step that was measured, the paper's, what holds."""
    printed = dict(zip(LADDER, paper.load(7)["miou"], strict=True))
    said = []
    for title, rows in sets.items():
        rules = [rule for rule, _ in by_rule({title: rows}).values()]
        last = _last(rows)
        end = "the full method" if last == LADDER[-1] else VARIANTS[last].title
        pairs = {rule: _step(rows, rule, last) for rule in rules}
        steps = [f"from {before} to {after} {_RULES[rule]}" for rule, (before, after) in pairs.items()]
        counts = [f"{whole} of {tested} {_RULES[rule]}" for rule in rules for whole, tested in [_count(rows, rule)]]
        several = ", in every run" if len({row["seed"] for row in rows if "seed" in row}) > 1 else ""
        said.append(
            f"**{title[0].upper()}{title[1:]}** ({describe_rows(rows)}): from baseline to {end} the seed's mIoU goes "
            f"{', and '.join(steps)}; in the paper, on VOC 2012 with ResNet-50, from {printed['baseline']:.1f} to "
            f"{printed[last]:.1f}. Of the paper's claims that were tested, "
            f"{', and '.join(counts)} came out as printed{several}."
        )
    return "\n\n".join(said)


def _last(rows: Rows) -> str:
    """Return the last step of the ladder whose seeds were measured; the full method where none was."""
    measured = {row.get("variant") for row in rows if row["metric"] == "seed/mIoU"}
    return next((variant for variant in reversed(LADDER) if variant in measured), LADDER[-1])


def _step(rows: Rows, rule: str, last: str) -> tuple[str, str]:
    """Return the seeds' mIoU of the baseline and of the last step."""
    found = (own_split(rows, f"seed/{rule}mIoU", variant=variant) for variant in ("baseline", last))
    before, after = (value_text(of_variant) for of_variant in found)
    return before, after


def _count(rows: Rows, rule: str) -> tuple[int, int]:
    """Return with how many claims every run agrees, and how many were tested."""
    verdicts = [verdict for verdict in check_claims(rows, rule)["verdict"] if verdict != NOT_RUN]
    counts = [verdict.split(" of ") for verdict in verdicts if " of " in verdict]
    return sum(agree == runs for agree, runs in counts), len(verdicts)
