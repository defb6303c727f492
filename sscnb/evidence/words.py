"""What came out, in sentences made of rows: for the first screen of README and book."""

from collections.abc import Mapping, Sequence
from typing import Any

from sscnb.evidence import paper
from sscnb.evidence.claims import check_claims
from sscnb.evidence.report import NOT_RUN, by_rule, describe_rows, own_split, value_text
from sscnb.settings import LADDER

Rows = Sequence[dict[str, Any]]


_RULES = {"": "at the fixed threshold", "tuned_": "at the threshold that is best on `val`"}


def in_words(sets: Mapping[str, Rows]) -> str:
    """Return a paragraph a set of rows: baseline and full method by each rule, the paper's, how many claims hold."""
    printed = dict(zip(LADDER, paper.load(7)["miou"], strict=True))
    said = []
    for title, rows in sets.items():
        rules = [rule for rule, _ in by_rule({title: rows}).values()]
        steps = [f"from {first} to {last} {_RULES[rule]}" for rule in rules for first, last in [_step(rows, rule)]]
        counts = [f"{whole} of {tested} {_RULES[rule]}" for rule in rules for whole, tested in [_count(rows, rule)]]
        several = ", in every run" if len({row["seed"] for row in rows if "seed" in row}) > 1 else ""
        said.append(
            f"**{title[0].upper()}{title[1:]}** ({describe_rows(rows)}): from baseline to the full method the seed's "
            f"mIoU goes {', and '.join(steps)}; in the paper, on VOC 2012 with ResNet-50, from "
            f"{printed['baseline']:.1f} to {printed['ssc']:.1f}. Of the paper's claims that were tested, "
            f"{', and '.join(counts)} came out as printed{several}."
        )
    return "\n\n".join(said)


def _step(rows: Rows, rule: str) -> tuple[str, str]:
    """Return the seeds' mIoU of baseline and full method."""
    found = (own_split(rows, f"seed/{rule}mIoU", variant=variant) for variant in ("baseline", "ssc"))
    first, last = (value_text(of_variant) for of_variant in found)
    return first, last


def _count(rows: Rows, rule: str) -> tuple[int, int]:
    """Return with how many claims every run agrees, and how many were tested."""
    verdicts = [verdict for verdict in check_claims(rows, rule)["verdict"] if verdict != NOT_RUN]
    counts = [verdict.split(" of ") for verdict in verdicts if " of " in verdict]
    return sum(agree == runs for agree, runs in counts), len(verdicts)
