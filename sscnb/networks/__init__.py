"""What every network shares: staged backbones, their ImageNet weights, the samples, and the training loop."""

from sscnb.networks.backbones import Backbone, build_backbone
from sscnb.networks.checkpoints import Trunk, load_checkpoint, load_state
from sscnb.networks.device import device, device_name, placed, products_in
from sscnb.networks.folding import folded
from sscnb.networks.tensors import to_image, to_tensor
from sscnb.networks.training import Schedule, fit
from sscnb.networks.training_data import UNTRUSTED, TrainingImages
from sscnb.networks.weights import weights_status

__all__ = [
    "Backbone",
    "Schedule",
    "TrainingImages",
    "Trunk",
    "UNTRUSTED",
    "build_backbone",
    "device",
    "device_name",
    "fit",
    "folded",
    "load_checkpoint",
    "load_state",
    "placed",
    "products_in",
    "to_image",
    "to_tensor",
    "weights_status",
]
