"""Finds the keys of result rows where a reader should see titles."""

import re

from sscnb.evidence import METRICS

_KEYS = "|".join(re.escape(name) for name in METRICS if "/" in name)


def raw_keys(text: str) -> list[str]:
    """Return the keys of rows that stand in a text; a part of a path is none."""
    return re.findall(rf"(?<![\w/])(?:(?:{_KEYS})\b|train_(?:loss|seconds)\b)", text)
