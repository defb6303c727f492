"""How well superpixels fit masks: the boundaries that they find, and how far they leak over them."""

import numpy as np
from scipy import ndimage


def boundaries(labels: np.ndarray, ignore: int | None = None) -> np.ndarray:
    """Return H,W bool: the pixels on either side of a pixel edge between two labels, neither of which is `ignore`."""
    edge = np.zeros(labels.shape, dtype=bool)
    for a, b in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        one, other = labels[a], labels[b]
        apart = one != other
        if ignore is not None:
            apart &= (one != ignore) & (other != ignore)
        edge[a] |= apart
        edge[b] |= apart
    return edge


def boundary_recall(labels: np.ndarray, mask: np.ndarray, *, tolerance: int = 2) -> float:
    """Return the share of the mask's boundary pixels that have a superpixel boundary near.

    Args:
        labels: H,W superpixels.
        mask: H,W classes; where one side of a boundary is 255 it is left out.
        tolerance: how many pixels apart still counts, in rows and in columns.

    Returns:
        0..1, nan if the mask has no boundary.
    """
    wanted = boundaries(np.asarray(mask), ignore=255)
    if not wanted.any():
        return float("nan")
    near = ndimage.maximum_filter(boundaries(np.asarray(labels)), size=2 * tolerance + 1)
    return float(near[wanted].mean())


def undersegmentation_error(labels: np.ndarray, mask: np.ndarray) -> float:
    """Return how far superpixels leak over the boundaries of classes (Neubert and Protzel, 2012).

    A superpixel that meets a class leaks the smaller of its parts inside and outside it; the leaks of all such pairs
    over the number of pixels. Pixels of 255 are left out.

    Returns:
        0 where every superpixel lies in one class; nan if all is 255.
    """
    mask = np.asarray(mask)
    valid = mask != 255
    if not valid.any():
        return float("nan")
    classes, superpixels = (np.unique(ids[valid], return_inverse=True)[1] for ids in (mask, np.asarray(labels)))
    shape = superpixels.max() + 1, classes.max() + 1
    inside = np.bincount(superpixels * shape[1] + classes, minlength=shape[0] * shape[1]).reshape(shape)
    return float(np.minimum(inside, inside.sum(axis=1, keepdims=True) - inside).sum() / valid.sum())
