"""Activation self-modulation: make CAMs constant within superpixels, and keep what is reliably high (Eq. 7-9)."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from sscnb.errors import UserError
from sscnb.method.cam import class_activation


class Modulation(NamedTuple):
    """The maps of self-modulation, P,H/2,W/2: one per pair of an image and a class present in it, in the order of
    `labels.nonzero()`."""

    activation: Tensor  # A, in 0..1; the gradient flows through it
    consistent: Tensor  # A averaged over superpixels (before ReLU), in 0..1; no gradient
    reliable: Tensor  # M, bool: high activation, eroded; all False without selection
    target: Tensor  # what A is aligned to, in 0..1; no gradient


def region_mean(features: Tensor, superpixels: Tensor) -> Tensor:
    """Replace every value by the mean of its channel over the superpixel that it lies in.

    Ids are separate per image. They need not be contiguous, but the table of sums has max(id) + 1 rows, so ids
    0..S-1 with S far below H*W are expected; memory is then O(B*C*H*W) whatever S is. On a GPU, reading the
    largest id is one synchronisation. Half-precision input is summed in float32.

    Shape: features B,C,H,W floating; superpixels B,H,W integers >= 0 -> B,C,H,W, dtype of `features`.

    Raises:
        UserError: the sizes do not match, or an id is negative.

    Source: Eq. 7.

    Example: two superpixels, of two pixels and of one.
        >>> features, superpixels = torch.tensor([[[[1.0, 3.0, 8.0]]]]), torch.tensor([[[0, 0, 1]]])
        >>> region_mean(features, superpixels).tolist()
        [[[[2.0, 2.0, 8.0]]]]
    """
    b, c, h, w = features.shape
    if superpixels.shape != (b, h, w):
        raise UserError(
            f"superpixels have shape {tuple(superpixels.shape)}, expected {(b, h, w)} to match the features: "
            "resize them together (nearest for the superpixels)."
        )
    if not superpixels.numel():
        return features
    lowest, highest = torch.stack(superpixels.aminmax()).tolist()
    if lowest < 0:
        raise UserError(f"a superpixel id is {lowest}, expected ids >= 0: give padding an id of its own.")
    values = features.flatten(2).to(torch.promote_types(features.dtype, torch.float32))  # B,C,HW
    ids = superpixels.flatten(1)[:, None].long()  # B,1,HW; expand() below makes views, never B,C,HW integers
    sums = values.new_zeros(b, c, highest + 1).scatter_add(2, ids.expand(b, c, -1), values)
    sizes = values.new_zeros(b, 1, highest + 1).scatter_add(2, ids, values.new_ones(()).expand(ids.shape))
    means = sums / sizes.clamp_min(1)  # ids that do not occur have no pixels to divide by
    return means.gather(2, ids.expand(b, c, -1)).view(b, c, h, w).to(features.dtype)


def erode(mask: Tensor, size: int) -> Tensor:
    """Erode with a `size` x `size` square of ones: the minimum over the square, exactly as OpenCV's `erode`.

    The square covers the offsets -(size // 2) .. size - 1 - size // 2 (OpenCV's default anchor, off centre for an
    even size), and what lies outside of the map never erodes it.

    Shape: mask B,C,H,W (or C,H,W), bool or floating -> the same.

    Raises:
        UserError: `size` is below 1.

    Source: Section III-C, reliable activation selection.

    Example: what touches a gap goes, what touches the border of the map stays.
        >>> erode(torch.tensor([[[1.0, 1.0, 1.0, 0.0, 1.0]]]), size=3).tolist()
        [[[1.0, 1.0, 0.0, 0.0, 0.0]]]
    """
    if size < 1:
        raise UserError(f"the erosion kernel has size {size}, expected 1 (no erosion) or more.")
    before = size // 2
    after = size - 1 - before
    x = mask.float() if mask.dtype == torch.bool else mask
    x = F.pad(-x, (before, after, before, after), value=float("-inf"))
    x = F.max_pool2d(F.max_pool2d(x, (size, 1), 1), (1, size), 1)  # a square is separable: 2 size comparisons
    return (-x).to(mask.dtype)


def self_modulate(
    features: Tensor,
    superpixels: Tensor,
    labels: Tensor,
    *,
    threshold: float = 0.3,
    erosion: int = 8,
    select: bool = True,
) -> Modulation:
    """Compute the activation of the classes that are present and the target that it is aligned to.

    Works on the half-resolution grid, H//2 x W//2: superpixels are subsampled, features up-sampled bilinearly.
    Only the P pairs (image, class present) are up-sampled. Counting them is one synchronisation on a GPU.

    Shape: features B,C,h,w raw (no ReLU); superpixels B,H,W integers >= 0 at crop size; labels B,C in {0, 1}.
    `threshold` (T_obj) is in 0..1; `erosion` is the kernel size in pixels of the half-resolution grid (8 at 256).
    `select=False` leaves reliable activation selection out: the target is the region-consistent activation alone.

    Raises:
        UserError: sizes do not match, a negative superpixel id, or an erosion below 1.

    Source: Eq. 7 and 9; resolution, order of operations and constants where the text is silent: the release.
    """
    height, width = superpixels.shape[-2] // 2, superpixels.shape[-1] // 2
    if labels.shape != features.shape[:2] or len(superpixels) != len(features):
        raise UserError(
            f"features {tuple(features.shape)}, superpixels {tuple(superpixels.shape)} and labels "
            f"{tuple(labels.shape)} do not go together, expected B,C,h,w and B,H,W and B,C."
        )
    image, present = labels.nonzero(as_tuple=True)  # P, P
    raw = features[image, present][:, None]  # P,1,h,w
    raw = raw.to(torch.promote_types(raw.dtype, torch.float32))
    raw = F.interpolate(raw, size=(height, width), mode="bilinear", align_corners=False)
    activation = class_activation(raw)
    with torch.no_grad():
        regions = superpixels[:, : 2 * height : 2, : 2 * width : 2][image]
        consistent = class_activation(region_mean(raw, regions))
        reliable = erode(activation > threshold, erosion) if select else torch.zeros_like(activation, dtype=torch.bool)
        target = torch.maximum(consistent, activation * reliable)
    return Modulation(activation[:, 0], consistent[:, 0], reliable[:, 0], target[:, 0])


def alignment_loss(
    features: Tensor,
    superpixels: Tensor,
    labels: Tensor,
    *,
    threshold: float = 0.3,
    erosion: int = 8,
    select: bool = True,
) -> Tensor:
    """Mean squared distance between the activation and its modulated target, over all pairs (image, class present).

    The target carries no gradient; the activation's maximum normalisation does. Without any positive label the
    loss is 0 and can still be differentiated. Arguments and errors are those of `self_modulate`.

    Shape: features B,C,h,w raw; superpixels B,H,W; labels B,C in {0, 1} -> scalar >= 0 (float32 for half precision).

    Source: Eq. 8 and 9.
    """
    maps = self_modulate(features, superpixels, labels, threshold=threshold, erosion=erosion, select=select)
    return (maps.activation - maps.target).square().sum() / max(maps.target.numel(), 1)
