"""Two segmentation networks that teach each other, as SSC's release trains them (after BECO, Rong et al., CVPR 2023).

Both see the same crops. Where the pseudo-mask is trusted, each learns from it, a little more along contours; where it
is not, each learns from what the other says. ClassMix (Olsson et al., WACV 2021) puts classes of one image into the
next.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sscnb.datasets import IGNORE
from sscnb.networks import UNTRUSTED
from sscnb.segmentation.deeplab import DeepLabV2, pixel_loss, to_pixels

BOUNDARY = 0.2  # how much more a pixel at a contour counts (release)
MIX = 0.5  # probability that an image of a batch receives classes of another (release)
WIDTH = 5  # pixels: a window of this side that holds two trusted classes is at a contour; our choice


class TwoNets(nn.Module):
    """Two networks of one shape that differ in how they began; outside training, the mean of their probabilities.

    Shape: images B,3,H,W -> logarithms of probabilities B,L,h,w, which a softmax turns back into them.
    """

    def __init__(self, first: DeepLabV2, second: DeepLabV2) -> None:
        super().__init__()
        self.first, self.second, self.stride = first, second, first.stride

    def forward(self, images: Tensor) -> Tensor:
        mean = (self.first(images).softmax(1) + self.second(images).softmax(1)) / 2
        return mean.clamp_min(torch.finfo(mean.dtype).tiny).log()


class CoTrainingObjective(nn.Module):
    """For each network: cross-entropy on trusted pixels, and against the other's argmax on the untrusted ones.

    `forward(batch, epoch)` takes `image` B,3,S,S and `target` B,S,S with 254 where the pseudo-mask is not trusted.
    """

    def __init__(self, net: TwoNets) -> None:
        super().__init__()
        self.net = net

    def forward(self, batch: Mapping[str, Any], epoch: int) -> dict[str, Tensor]:
        images, target = class_mix(batch["image"], batch["target"], MIX)
        size = (target.shape[-2], target.shape[-1])
        outputs = [to_pixels(net(images), size, net.stride) for net in (self.net.first, self.net.second)]
        untrusted = target == UNTRUSTED
        trusted = target.masked_fill(untrusted, IGNORE)
        weight = 1 + BOUNDARY * at_contour(target, WIDTH)
        supervised = torch.stack([pixel_loss(logits, trusted, weight) for logits in outputs]).sum()
        taught = [logits.detach().argmax(1).masked_fill(~untrusted, IGNORE) for logits in outputs[::-1]]
        pairs = zip(outputs, taught, strict=True)
        mutual = torch.stack([pixel_loss(logits, labels) for logits, labels in pairs]).sum()
        loss = supervised + mutual
        return {"loss": loss, "supervised": supervised.detach(), "mutual": mutual.detach()}


def at_contour(target: Tensor, width: int) -> Tensor:
    """Mark the trusted pixels whose window of side `width` (odd) holds another trusted class as well.

    Shapes: target B,H,W with 254 and 255 for what is no class -> B,H,W float, 0 or 1.
    """
    known = target < UNTRUSTED
    labels = target.float()[:, None]
    highest = F.max_pool2d(labels.masked_fill(~known[:, None], -1), width, 1, width // 2)
    lowest = -F.max_pool2d((-labels).masked_fill(~known[:, None], -IGNORE), width, 1, width // 2)
    return ((highest != lowest)[:, 0] & known).float()


def class_mix(images: Tensor, target: Tensor, probability: float) -> tuple[Tensor, Tensor]:
    """Paste into some images the trusted pixels of half of the classes of the batch's next image, with their labels.

    Args:
        images: B,3,H,W.
        target: B,H,W with 254 and 255 for what is no class.
        probability: that an image receives something; drawn from torch's generator.

    Returns:
        Images and target of the same shapes, new tensors.
    """
    images, target = images.clone(), target.clone()
    donors, labels = images.roll(-1, 0), target.roll(-1, 0)
    for index in (torch.rand(len(images)) < probability).nonzero().flatten().tolist():
        classes = labels[index].unique()
        classes = classes[classes < UNTRUSTED]
        order = torch.randperm(len(classes)).to(classes.device)
        chosen = classes[order[: (len(classes) + 1) // 2]]
        pasted = torch.isin(labels[index], chosen)
        images[index] = torch.where(pasted, donors[index], images[index])
        target[index] = torch.where(pasted, labels[index], target[index])
    return images, target
