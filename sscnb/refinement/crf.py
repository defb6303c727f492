"""Dense CRF: labels and probabilities that follow the image's colours. The inference itself is `pydensecrf2`'s.

Optional, since it is built from source: whoever lacks it is told so and can choose to go without, which is never done
silently.
"""

from dataclasses import dataclass

import numpy as np

from sscnb.errors import UserError

GT_PROB = 0.7  # how sure a label is before the CRF looks at it (IRN)


@dataclass(frozen=True)
class Potentials:
    """The two pairwise terms and how long to iterate. Widths sxy are in pixels, srgb in grey levels of 0..255.

    The defaults are those of IRN for refining labels.
    """

    gaussian_sxy: float = 3
    gaussian_compat: float = 3
    bilateral_sxy: float = 50
    bilateral_srgb: float = 5
    bilateral_compat: float = 10
    iterations: int = 10


# For the output of a segmentation network (the release).
SEGMENTATION = Potentials(gaussian_sxy=1, bilateral_sxy=67, bilateral_srgb=3, bilateral_compat=4)


def require_crf() -> type:
    """Return pydensecrf's `DenseCRF2D`; a stage calls this first, so as not to fail after an hour.

    Raises:
        UserError: it is not installed or cannot be loaded.
    """
    try:
        from pydensecrf.densecrf import DenseCRF2D
    except (ImportError, ValueError) as error:  # ValueError: built against another numpy
        raise UserError(
            f"the dense CRF cannot be loaded ({error}). Install it with `pip install '.[crf]'` in the project's folder "
            '(it needs a C++ compiler), or choose crf="none", which is recorded in every result.'
        ) from error
    return DenseCRF2D


def refine_labels(
    image: np.ndarray,
    labels: np.ndarray,
    num_labels: int,
    *,
    gt_prob: float = GT_PROB,
    potentials: Potentials = Potentials(),  # noqa: B008 (frozen)
) -> np.ndarray:
    """Return a label map that follows the image: each label is believed with `gt_prob`, the others share the rest.

    Deterministic. With one label only there is nothing to decide and the map comes back as it is.

    Args:
        image: H,W,3 uint8.
        labels: H,W integers in 0..num_labels-1.
        num_labels: at most 256.
        gt_prob: between 0 and 1, both excluded.

    Returns:
        H,W uint8.

    Raises:
        UserError: the CRF is not installed, or an argument is not as above.

    Source: Krähenbühl and Koltun, NIPS 2011; as used in IRN.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.dtype.kind not in "iu" or not 1 <= num_labels <= 256:
        raise UserError(
            f"labels are {labels.dtype} {labels.shape} and num_labels is {num_labels}; "
            "expected H,W integers and 1 to 256 labels."
        )
    if labels.size and not 0 <= labels.min() <= labels.max() < num_labels:
        raise UserError(f"labels hold {labels.min()}..{labels.max()}; expected 0..{num_labels - 1}.")
    if not 0 < gt_prob < 1:
        raise UserError(f"gt_prob is {gt_prob}; expected a number between 0 and 1, both excluded.")
    rest = (1 - gt_prob) / max(num_labels - 1, 1)
    probabilities = np.full((num_labels, *labels.shape), rest, np.float32)
    np.put_along_axis(probabilities, labels[None].astype(np.int64), gt_prob, axis=0)
    return refine_probabilities(image, probabilities, potentials=potentials).argmax(0).astype(np.uint8)


def refine_probabilities(
    image: np.ndarray, probabilities: np.ndarray, *, potentials: Potentials = SEGMENTATION
) -> np.ndarray:
    """Return the marginal probabilities of a dense CRF whose unary term is -log of the given ones.

    Args:
        image: H,W,3 uint8.
        probabilities: L,H,W floats in [0, 1], such as a softmax; below 1e-5 they count as 1e-5.

    Returns:
        L,H,W float32, summing to 1 over L. Deterministic.

    Raises:
        UserError: the CRF is not installed, or an argument is not as above.

    Source: Krähenbühl and Koltun, NIPS 2011.
    """
    crf_class = require_crf()
    image, probabilities = np.asarray(image), np.asarray(probabilities)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise UserError(f"the image is {image.dtype} {image.shape}; expected uint8 H,W,3.")
    if probabilities.ndim != 3 or probabilities.shape[1:] != image.shape[:2] or not len(probabilities):
        raise UserError(f"the map has shape {probabilities.shape} and the image {image.shape}; their H,W must agree.")
    if not (probabilities.min() >= 0 and probabilities.max() <= 1 + 1e-3):  # NaN passes neither
        raise UserError("probabilities must be in [0, 1] without NaN; apply the softmax first.")
    number, height, width = probabilities.shape
    unary = -np.log(np.clip(probabilities, 1e-5, 1).astype(np.float32))
    crf = crf_class(width, height, number)
    # pydensecrf reads the memory as it lies, and refuses read-only arrays, which is what PIL's images give.
    crf.setUnaryEnergy(np.ascontiguousarray(unary.reshape(number, -1)))
    crf.addPairwiseGaussian(sxy=potentials.gaussian_sxy, compat=potentials.gaussian_compat)
    crf.addPairwiseBilateral(
        sxy=potentials.bilateral_sxy,
        srgb=potentials.bilateral_srgb,
        rgbim=np.array(image, order="C"),
        compat=potentials.bilateral_compat,
    )
    return np.array(crf.inference(potentials.iterations), np.float32).reshape(number, height, width)
