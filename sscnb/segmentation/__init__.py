"""The segmentation network that learns from pseudo-masks."""

from sscnb.segmentation.cotrain import CoTrainingObjective, TwoNets
from sscnb.segmentation.deeplab import DeepLabV2, SegmentationObjective, build_deeplab, build_optimizer
from sscnb.segmentation.inference import predict_mask

__all__ = [
    "CoTrainingObjective",
    "DeepLabV2",
    "SegmentationObjective",
    "TwoNets",
    "build_deeplab",
    "build_optimizer",
    "predict_mask",
]
