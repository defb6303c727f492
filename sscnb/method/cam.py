"""The CAM network: a staged backbone whose last layer has one channel a class (Eq. 1 and 2).

With the fully connected layer replaced by a 1x1 convolution, the class scores are the global average of class-aware
feature maps F, and F itself, rectified and divided by its maximum, is the class activation map (Zhang et al., ACoL).
"""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

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
        >>> import torch
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
