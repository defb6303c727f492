"""The paper's Section III: CAMs, suppression, reconstruction, self-modulation, and the objective that joins them."""

from sscnb.method.cam import CAMNet, class_activation, classification_loss
from sscnb.method.drs import Suppression, suppress
from sscnb.method.foreign_superpixels import adopt_superpixels
from sscnb.method.gap import reconstruction_gap
from sscnb.method.modulation import Modulation, alignment_loss, erode, region_mean, self_modulate
from sscnb.method.multi_scale import full_activation, grid_activation, scale_maps
from sscnb.method.objective import Objective, build_objective, build_optimizers, build_perceptual
from sscnb.method.perceptual import PerceptualLoss, pixel_loss
from sscnb.method.reach import mean_colours, mean_distances
from sscnb.method.reconstruction import ReconstructionNet
from sscnb.method.superpixels import (
    read_superpixels,
    relabel,
    segment,
    segment_files,
)

__all__ = [
    "CAMNet",
    "Modulation",
    "Objective",
    "PerceptualLoss",
    "ReconstructionNet",
    "Suppression",
    "adopt_superpixels",
    "alignment_loss",
    "build_objective",
    "build_optimizers",
    "build_perceptual",
    "class_activation",
    "classification_loss",
    "erode",
    "full_activation",
    "grid_activation",
    "mean_colours",
    "mean_distances",
    "pixel_loss",
    "read_superpixels",
    "reconstruction_gap",
    "region_mean",
    "relabel",
    "scale_maps",
    "segment",
    "segment_files",
    "self_modulate",
    "suppress",
]
