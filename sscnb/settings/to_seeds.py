"""The settings of chapters 1 to 4, from images to seeds; the defaults are the paper's.

A comment says why where a value is not the paper's own. FACTS in the comments refer to what the paper's text leaves
out and its release fills in; the book's page of differences lists both.
"""

from dataclasses import field
from typing import Literal, Self

from pydantic import model_validator
from pydantic.dataclasses import dataclass

from sscnb.datasets.scenes import SceneConfig
from sscnb.settings.types import (
    CHECKED,
    BackboneName,
    BelowOne,
    Betas,
    Factors,
    Fraction,
    Natural,
    NonNegative,
    OutputStride,
    Positive,
    Precision,
    Rate,
    Regions,
    Share,
    Side,
    SizeRange,
    Split,
    Stage,
    Width,
)


@dataclass(frozen=True, config=CHECKED)
class DataSettings:
    """Where the images come from and which split serves what."""

    source: Literal["folder", "scenes"] = "folder"  # a VOC-layout folder given as data_root, or the embedded scenes
    subset: str = ""  # a part of the folder whose ids the package lists, such as "voc_animals"; "": all of it
    train_split: Split = "train_aug"  # image-level labels of these train the CAM network (Section IV-A)
    seed_split: Split = "train"  # seeds and pseudo-masks are evaluated on these (Tables II, VII, VIII)
    val_split: Split = "val"
    scenes: SceneConfig = field(default_factory=SceneConfig)


@dataclass(frozen=True, config=CHECKED)
class CAMSettings:
    """The CAM network and its training (Section IV-B)."""

    backbone: BackboneName = "resnet50"
    weights: str = "imagenet"  # or the path of a checkpoint file
    output_stride: OutputStride = 16
    detach: Stage = 2  # stem and stages 1..detach are frozen, as in the release
    # Where suppression stands: "released", since the text names no place; "paper" is the narrowest reading of it.
    fidelity: Literal["released", "paper"] = "released"
    delta: Share = 0.55  # Eq. 3
    resize: SizeRange = (320, 640)  # long side drawn uniformly from this range, in pixels (release)
    crop: Positive = 512
    epochs: Positive = 10
    batch_size: Positive = 6
    lr_backbone: Rate = 0.1
    lr_classifier: Rate = 1.0  # ten times the backbone's, as in IRN and the release; the text names .1 only
    momentum: BelowOne = 0.9  # the text's; the release has 1e-4 in effect, and steps a tenth as large, see `voc`
    weight_decay: Fraction = 1e-4
    power: NonNegative = 0.9  # of the polynomial decay
    clip: NonNegative = 0.0  # largest gradient norm, of network and decoder together; 0 is off
    # "no" is float32, as in the release; "tf32", "bf16" and "fp16" are faster on a GPU. The perceptual loss suffers: in
    # bf16 the cosine of its gradient to float32's is about one half.
    precision: Precision = "no"
    workers: Natural = 4  # processes that load images

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.crop % self.output_stride:  # an image that is rebuilt from the last map has then the crop's size
            raise ValueError(
                f"'cam.crop' is {self.crop}; it should be a multiple of {self.output_stride}, the output stride"
            )
        return self


@dataclass(frozen=True, config=CHECKED)
class SuperpixelSettings:
    """Regions for self-modulation (Section IV-B)."""

    max_regions: Regions = 64
    # A folder of ready maps <id>.png, which then take the place of our own: ids as grey values of 8 or 16 bits, or as
    # ICD and the release have them, c0 + 256 c1 + 65536 c2 of an 8-bit colour image.
    folder: str = ""
    workers: Natural = 0  # processes; 0 is one a core


@dataclass(frozen=True, config=CHECKED)
class ReconstructionSettings:
    """CAM-driven reconstruction (Eq. 4 to 6, Table I; optimiser as in the release)."""

    beta: NonNegative = 1.0  # beta_p of Eq. 10
    width: Width = 256
    lr: Rate = 5e-4
    betas: Betas = (0.5, 0.999)
    loss_network: BackboneName = "vgg19"
    loss_weights: str = "imagenet"  # "hed": vgg16 that comes with a package, offline; or the path of a checkpoint file
    taps: Literal["last", "first"] = "last"  # "last": before each pooling layer (paper); "first": relu_x_1 (release)
    stage_weights: Literal["paper", "released"] = "paper"  # "paper": 1/32 .. 1/2; "released": 1/32 .. 1/4, 1
    loss_stride: OutputStride = 16  # output stride of the loss network: before VGG's last pooling layer
    # For networks other than VGG: "network" or "activation", see PerceptualLoss.
    scale: Literal["none", "network", "activation"] = "none"
    early_stage: Stage = 3  # where "CDR early" reads (Table VII): the first stage that trains, since 1 and 2 are frozen
    # Rebuild and compare at this fraction of the crop's side; 1 is Table I's. A small loss network's share of a step.
    shrink: Literal[1, 2, 4, 8] = 1
    # L_p counts from this epoch on. The paper's from the start; where epochs are few hundreds of steps, its gradient in
    # a new classifier is ten times the classification loss's, and the classifier has to settle first.
    warmup_epochs: Natural = 0
    checkpoint: bool = False  # recompute the decoder's and loss network's activations: less memory, same result


@dataclass(frozen=True, config=CHECKED)
class ModulationSettings:
    """Activation self-modulation and reliable activation selection (Eq. 7 to 9)."""

    beta: NonNegative = 1.0  # beta_a of Eq. 10
    threshold: Fraction = 0.3  # T_obj
    erosion: Positive = 8  # r, in pixels of the half-resolution grid (256 for a crop of 512)
    warmup_epochs: Natural = 2  # alignment counts from the third epoch on (release)


@dataclass(frozen=True, config=CHECKED)
class InferenceSettings:
    """From a trained network to CAMs and seeds (Eq. 1; scales and flip as in the release)."""

    scales: Factors = (1.0, 0.5, 1.5, 2.0)
    flip: bool = True
    long_side: Side = 0  # resize images to this long side first; 0 keeps their own size, as the paper does
    batch_size: Positive = 8
    threshold: Fraction = 0.2  # of the seed: activation below it is background
