"""Two segmentation networks that teach each other, as SSC's release trains them (after BECO, Rong et al., CVPR 2023).

Both see the same crops. Where the pseudo-mask is trusted, each learns from it, a little more along contours; where it
is not, each learns from what the other says. ClassMix puts classes of one image into another.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sscnb.datasets import IGNORE
from sscnb.networks import UNTRUSTED
from sscnb.segmentation.deeplab import DeepLabV2, pixel_loss, to_pixels
from sscnb.segmentation.mixing import Mixed, at_contour, mix_halves, mix_next, outline
from sscnb.settings import SegmentationSettings

WIDTH = 5  # pixels: a window of this side that holds two trusted classes is at a contour; our choice
OUTLINE = 3  # the same for what was pasted (release)


class TwoNets(nn.Module):
    """Two networks of one shape that differ in how they began; they answer with the mean of their logits.

    Shape: images B,3,H,W -> logits B,L,h,w.
    """

    def __init__(self, first: DeepLabV2, second: DeepLabV2) -> None:
        super().__init__()
        self.first, self.second, self.stride = first, second, first.stride

    def forward(self, images: Tensor) -> Tensor:
        return (self.first(images) + self.second(images)) / 2


class CoTrainingObjective(nn.Module):
    """For each network: cross-entropy on trusted pixels, and against the other's argmax on the untrusted ones.

    `forward(batch, epoch)` takes `image` B,3,S,S and `target` B,S,S with 254 where the pseudo-mask is not trusted.
    """

    def __init__(self, net: TwoNets, settings: SegmentationSettings) -> None:
        super().__init__()
        self.net, self.settings = net, settings

    def forward(self, batch: Mapping[str, Any], epoch: int) -> dict[str, Tensor]:
        images, target, pasted = self._mix(batch["image"], batch["target"], epoch)
        everything = self.settings.divide_by == "all"
        size = (target.shape[-2], target.shape[-1])
        outputs = [to_pixels(net(images), size, net.stride) for net in (self.net.first, self.net.second)]
        untrusted = target == UNTRUSTED
        trusted = target.masked_fill(untrusted, IGNORE)
        contour = outline(pasted, OUTLINE) if self.settings.contour == "pasted" else at_contour(target, WIDTH)
        weight = 1 + self.settings.contour_weight * contour
        losses = [pixel_loss(logits, trusted, weight, everything=everything) for logits in outputs]
        supervised = torch.stack(losses).sum()
        taught = [logits.detach().argmax(1).masked_fill(~untrusted, IGNORE) for logits in outputs[::-1]]
        pairs = zip(outputs, taught, strict=True)
        mutual = torch.stack([pixel_loss(logits, labels, everything=everything) for logits, labels in pairs]).sum()
        loss = supervised + mutual
        return {"loss": loss, "supervised": supervised.detach(), "mutual": mutual.detach()}

    def _mix(self, images: Tensor, target: Tensor, epoch: int) -> Mixed:
        settings = self.settings
        if settings.mix == "next":
            return mix_next(images, target, settings.mix_probability)
        labels = None
        if epoch >= settings.mix_warmup:
            labels = sure_labels(self.net, images, target, settings.mix_certainty)
        return mix_halves(images, target, settings.mix_probability, labels)


@torch.no_grad()
def sure_labels(net: TwoNets, images: Tensor, target: Tensor, certainty: float) -> Tensor:
    """Return what the two say of each pixel in evaluation mode, 254 where its probability is not above `certainty`.

    Pixels that `target` ignores stay ignored. The networks' mode is as before, their statistics too.

    Shapes: images B,3,H,W; target B,H,W -> B,H,W integers.
    """
    training = net.training
    net.eval()
    logits = to_pixels(net(images), (target.shape[-2], target.shape[-1]), net.stride)
    net.train(training)
    # Older torch keeps the rounded weights of this pass, which know no gradient, for the one that is to train them.
    torch.clear_autocast_cache()
    highest, labels = logits.float().softmax(1).max(1)
    return labels.masked_fill(highest <= certainty, UNTRUSTED).masked_fill(target == IGNORE, IGNORE)
