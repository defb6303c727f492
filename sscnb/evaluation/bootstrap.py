"""How far a mean IoU depends on which images it was measured on."""

import numpy as np

from sscnb.errors import UserError
from sscnb.evaluation.masks import defined_mean, ratio


def bootstrap_interval(
    per_image_counts: np.ndarray, n: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Percentile interval of the mean IoU when the images are drawn again with replacement (Efron, 1979).

    It covers the choice of images, not of training seeds. A resample leaves out the classes that it holds no pixel of.

    Shapes: per_image_counts (N,C,C), one `confusion` an image; n resamples. Result (low, high) in [0,1].
    Raises: UserError for another shape, no counted pixel, n < 1 or a level outside ]0,1[.
    """
    counts = np.asarray(per_image_counts)
    if counts.ndim != 3 or counts.shape[1] != counts.shape[2] or not counts.any():
        raise UserError(f"a bootstrap needs counts (images, C, C) with pixels in them; these are {counts.shape}.")
    if n < 1 or not 0 < level < 1:
        raise UserError(f"a bootstrap needs n >= 1 resamples and a level between 0 and 1; got n={n}, level={level}.")
    # IoU needs only hits and union: N x 2C numbers instead of N x C x C. Whole numbers in float64 keep BLAS sums exact.
    hits = np.diagonal(counts, axis1=1, axis2=2)
    parts = np.concatenate([hits, counts.sum(1) + counts.sum(2) - hits], axis=1).astype(float)
    images, rng, means = len(parts), np.random.default_rng(seed), []
    rows = max(1, 2**20 // images)  # about 8 MB of weights at a time
    for start in range(0, n, rows):
        drawn = rng.integers(images, size=(min(rows, n - start), images))
        drawn += np.arange(len(drawn))[:, None] * images
        weights = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        means.append(defined_mean(ratio(*np.split(weights @ parts, 2, axis=1))))
    low, high = np.nanquantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
