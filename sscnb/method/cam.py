"""The CAM network: a staged backbone whose last layer has one channel a class (Eq. 1 and 2).

With the fully connected layer replaced by a 1x1 convolution, the class scores are the global average of class-aware
feature maps F, and F itself, rectified and divided by its maximum, is the class activation map (Zhang et al., ACoL).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sscnb.errors import UserError
from sscnb.networks import Backbone


class CAMNet(nn.Module):
    """Backbone and 1x1 classifier without bias.

    Args:
        backbone: five feature maps out, as `sscnb.networks.build_backbone` makes it.
        num_classes: C, without background.
        suppression: applied to the backbone's maps, as `Suppression` (Eq. 3); none for the baseline.

    Shape:
        images B,3,H,W (ImageNet-normalised) to logits B,C and raw features B,C,h,w.
    """

    def __init__(self, backbone: Backbone, num_classes: int, suppression: Callable[..., Tensor] | None = None):
        super().__init__()
        self.backbone = backbone
        self.classifier = nn.Conv2d(backbone.channels[-1], num_classes, kernel_size=1, bias=False)
        self.suppression = suppression

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits, features, _ = self.forward_stages(images)
        return logits, features

    def forward_stages(self, images: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """As `forward`, with the backbone's five maps as a third result."""
        stages = self.backbone(images, tap=self.suppression)
        features = self.classifier(stages[-1])  # B,C,h,w
        return features.mean(dim=(2, 3)), features, stages


def class_activation(features: Tensor, *, eps: float = 1e-5) -> Tensor:
    """Turn class-aware features into CAMs: ReLU, then each map divided by its maximum (Eq. 1).

    Args:
        features: ...,h,w raw features.
        eps: added to the maximum, so that a map without any positive value becomes 0 (release).

    Returns:
        ...,h,w in [0, 1].

    Example:
        >>> class_activation(torch.tensor([[-3.0, 1.0, 4.0]]), eps=0).tolist()
        [[0.0, 0.25, 1.0]]
    """
    positive = F.relu(features)
    return positive / (positive.amax(dim=(-2, -1), keepdim=True) + eps)


def classification_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Multi-label soft-margin loss, the mean over classes and images (Eq. 2).

    Args:
        logits: B,C class scores q.
        labels: B,C in {0, 1}.
    """
    return F.multilabel_soft_margin_loss(logits, labels)


@torch.no_grad()
def multi_scale_activation(
    net: CAMNet, images: Tensor, *, grid: tuple[int, int], scales: tuple[float, ...] = (1.0,), flip: bool = True
) -> tuple[Tensor, Tensor]:
    """Sum rectified features over scales and the flip pair, on a common grid.

    The maps are not normalised yet: `class_activation` does so for the classes that are present.

    Args:
        images: B,3,H,W of one size, ImageNet-normalised.
        grid: h,w of the result.
        scales: at least one.

    Returns:
        Logits B,C of the first scale (mean of the flip pair), and sums B,C,h,w >= 0.
    """
    height, width = images.shape[-2:]
    total, logits = None, None
    for scale in scales:
        scaled = images
        if scale != 1:
            size = (max(1, round(height * scale)), max(1, round(width * scale)))
            scaled = F.interpolate(images, size=size, mode="bicubic", align_corners=False, antialias=scale < 1)
        scores, features = net(torch.cat([scaled, scaled.flip(-1)]) if flip else scaled)
        positive = F.relu(features)
        if flip:
            # ReLU before the flip sum, as in the release.
            plain, mirrored = positive.chunk(2)
            positive = plain + mirrored.flip(-1)
            scores = sum(scores.chunk(2)) / 2
        logits = scores if logits is None else logits
        positive = F.interpolate(positive, size=grid, mode="bilinear", align_corners=False)
        total = positive if total is None else total + positive
    if logits is None or total is None:
        raise UserError("scales is empty; expected at least one factor, such as 1.0.")
    return logits, total
