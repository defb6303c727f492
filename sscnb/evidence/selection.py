"""Which images are shown: by a rule, and not by eye."""

from collections.abc import Mapping, Sequence
from typing import Any

Values = Mapping[str, float | None]  # by image, such as the mIoU of each; None where nothing can be measured


def spread(ids: Sequence[str], number: int, start: int = 0) -> Sequence[str]:
    """Return at most `number` ids, evenly spread from the place `start` on."""
    return ids[start :: max(1, len(ids) // number)][:number]


def ranked(values: Values) -> list[str]:
    """Return the images that have a value, lowest first; equal ones in the order of their ids."""
    return [image_id for _, image_id in sorted((value, i) for i, value in values.items() if value is not None)]


def middle(values: Values, ids: Sequence[str]) -> Sequence[str]:
    """Return the image in the middle of the ranking, as the only one; the first of `ids` where nothing is ranked."""
    order = ranked(values)
    return order[len(order) // 2 :][:1] or ids[:1]


def gains(before: Values, after: Values) -> dict[str, float]:
    """Return what each image gains, as far as both values are known."""
    pairs = ((image_id, before.get(image_id), value) for image_id, value in after.items())
    return {image_id: new - old for image_id, old, new in pairs if old is not None and new is not None}


def strongest_failures(failures: Sequence[Mapping[str, Any]], kind: str, number: int = 3) -> list[Mapping[str, Any]]:
    """Return the failures of a kind with the largest share, one an image, strongest first.

    Args:
        failures: of `evaluate_segmentation`, those of a kind from the largest `share` down.
    """
    # From the weakest up, so that the strongest of an image is what stays.
    of_image = {failure["id"]: failure for failure in reversed(failures) if failure["kind"] == kind}
    return sorted(of_image.values(), key=lambda failure: -failure["share"])[:number]
