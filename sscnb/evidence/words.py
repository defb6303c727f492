"""What came out, in sentences made of rows: for the first screen of README and book."""

from collections.abc import Mapping, Sequence
from typing import Any

from sscnb.evidence import paper
from sscnb.evidence.claims import check_claims
from sscnb.evidence.report import NOT_RUN, by_rule, describe_rows, own_split, value_text
from sscnb.settings import LADDER

Rows = Sequence[dict[str, Any]]


def in_words(sets: Mapping[str, Rows]) -> str:
    """Return a paragraph a set of rows: baseline and full method by each rule, the paper's, how many claims hold."""
    printed = dict(zip(LADDER, paper.load(7)["miou"], strict=True))
    said = []
    for title, rows in sets.items():
        rules = {rule: _step(rows, rule) for rule, _ in by_rule({title: rows}).values()}
        parts = [f"from {first} to {last} {_RULES[rule]}" for rule, (first, last) in rules.items()]
        said.append(
            f"**{title}** ({describe_rows(rows)}): from baseline to the full method the seed's mIoU goes "
            f"{', and '.join(parts)}; in the paper, on VOC 2012 with ResNet-50, from {printed['baseline']:.1f} to "
            f"{printed['ssc']:.1f}. {' '.join(_count(rows, rule) for rule in rules)}"
        )
    return "\n\n".join(said)


_RULES = {"": "at the fixed threshold", "tuned_": "at the threshold that is best on `val`"}


def _step(rows: Rows, rule: str) -> tuple[str, str]:
    found = (own_split(rows, f"seed/{rule}mIoU", variant=variant) for variant in ("baseline", "ssc"))
    first, last = (value_text(of_variant) for of_variant in found)
    return first, last


def _count(rows: Rows, rule: str) -> str:
    """Return in how many of the claims that were tested every run agrees."""
    verdicts = [verdict for verdict in check_claims(rows, rule)["verdict"] if verdict != NOT_RUN]
    whole = sum(verdict.partition(" of ")[0] == verdict.partition(" of ")[2] for verdict in verdicts)
    return f"Of {len(verdicts)} claims that were tested, every run agrees with {whole} {_RULES[rule]}."
