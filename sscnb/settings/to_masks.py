"""The settings of chapters 5 and 6, from seeds to masks; the defaults are the paper's, see `to_seeds`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from sscnb.settings.types import (
    CHECKED,
    CRF,
    Above0,
    AreaRange,
    BackboneName,
    BelowOne,
    Dilations,
    FactorRange,
    Factors,
    Fraction,
    Natural,
    NonNegative,
    OutputStride,
    Positive,
    Precision,
    Radius,
    Rate,
    Share,
    Side,
)


@dataclass(frozen=True, config=CHECKED)
class IRNSettings:
    """The relation network and the labels it learns from (Section IV-B; numbers of IRN and of the release)."""

    backbone: BackboneName = "resnet50"
    weights: str = "imagenet"  # or the path of a checkpoint file
    output_stride: OutputStride = 16
    displacement: bool = True  # its loss is part of the method; without it the masks are the same
    foreground: Fraction = 0.30  # strict threshold of the inter-pixel relation labels
    background: Fraction = 0.10  # generous one (release; IRN has .05)
    crf: CRF = "dense"  # refines those labels; "none" goes without
    radius: Radius = 10  # pairs nearer than this many cells of the stride-4 grid are trained on
    # All in the crop; "released": the first cell has radius - 1 others left, right and below.
    pairs: Literal["inside", "released"] = "inside"
    long_side: Side = 0  # resize images to this long side first, to train and to walk; 0 keeps their own size
    scale: FactorRange = (0.5, 1.5)  # then, in training, by a factor drawn from this range
    crop: Positive = 512
    epochs: Positive = 3
    batch_size: Positive = 16  # release; IRN has 32
    lr_edge: Rate = 0.1
    lr_displacement: Rate = 1.0
    # Release: its optimiser takes .9 for the decay's power. .9 makes steps ten times as large.
    momentum: BelowOne = 1e-4
    weight_decay: Fraction = 1e-4
    power: NonNegative = 0.9
    pad: Side = 512  # zeros to this side around images to find edges in; 0 only to whole cells. A part of group norm
    precision: Precision = "no"  # float32, as in the release; "tf32", "bf16" or "fp16" on a GPU
    workers: Natural = 4

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.background > self.foreground:
            raise ValueError(
                f"'irn.background' is {self.background}; it should be at most 'irn.foreground', the strict threshold"
            )
        return self


@dataclass(frozen=True, config=CHECKED)
class PseudoMaskSettings:
    """From CAMs and boundaries to pseudo-masks by a random walk, and how far to trust them (IRN and the release)."""

    radius: Radius = 5  # in cells of the stride-4 grid
    beta: Above0 = 10.0  # power of the affinities
    steps: Natural = 256
    tol: Annotated[float, Field(gt=0, lt=1)] = 1e-6  # of the walk, see `random_walk`
    threshold: Fraction = 0.25  # of the background
    keep: Share = 0.5  # share of each class's pixels that the confidence mask trusts
    # Rounded up, with all that are as sure as the last; "rank": rounded down, exactly (release).
    trust: Literal["margin", "rank"] = "margin"
    workers: Natural = 0  # processes; 0 is one a core


@dataclass(frozen=True, config=CHECKED)
class SegmentationSettings:
    """DeepLabV2, its training on pseudo-masks and its inference (Section IV-B).

    The text names network, optimiser and epochs and else follows BECO; what it leaves open is here as in the release.
    """

    # Two networks that teach each other (BECO, release); "single": one.
    method: Literal["cotrain", "single"] = "cotrain"
    backbone: BackboneName = "resnet101"
    weights: str = "imagenet_v2"  # torchvision's second set (release); "imagenet": the first; or a checkpoint's path
    output_stride: OutputStride = 16  # the release: 8
    # Statistics of each batch (release); "frozen": ImageNet's, for few images.
    batch_norm: Literal["batch", "frozen"] = "batch"
    rates: Dilations = (6, 12, 18, 24)
    long_side: Side = 0  # resize images to this long side first, to predict and for "scale"; 0 keeps their own size
    # A share of the image's area, resized (release); "scale": resized by a factor, cut or padded.
    crops: Literal["area", "scale"] = "area"
    area: AreaRange = (0.5, 0.75)  # that share
    ratio: FactorRange = (3 / 4, 4 / 3)  # of its width to its height
    scale: FactorRange = (0.5, 2.0)  # for "scale": the factor
    crop: Positive = 512
    color: bool = True  # change the crops' colours (release)
    epochs: Positive = 80
    batch_size: Positive = 16
    lr: Rate = 0.01
    head_factor: NonNegative = 1.0  # the classifier's rate over the backbone's (release); DeepLab has 10
    momentum: BelowOne = 0.9
    weight_decay: Fraction = 1e-4
    power: NonNegative = 0.9
    min_lr: Rate = 0.0  # the rate falls no further; the release: 1e-5
    clip: NonNegative = 0.0  # largest gradient norm; 0 is off
    confidence: bool = False  # "single": train on the trusted pixels of the pseudo-masks alone
    # Co-training. The defaults are plain ClassMix and plain means; presets that follow the release choose the others.
    # Each loss by the pixels that have a label for it; "all": by all pixels (release).
    divide_by: Literal["labelled", "all"] = "labelled"
    # Classes of the batch's next image, background too; "halves": see `mix_halves` (release).
    mix: Literal["next", "halves"] = "next"
    mix_probability: Fraction = 0.5  # that an image receives classes of another (release)
    mix_warmup: Natural = 2  # "halves": from this epoch on, mixed images take what both networks say (release)
    mix_certainty: BelowOne = 0.95  # where its probability is above this (release)
    # What counts more: contours of trusted labels; "pasted": of what was pasted (release).
    contour: Literal["labels", "pasted"] = "labels"
    contour_weight: NonNegative = 0.2  # by how much (release)
    # Inference.
    on_train: bool = True  # predict the images whose seeds are measured too, and not only those kept back
    test_size: Side = 512  # images are resized to a square of this side (release); 0 keeps their own size
    test_scales: Factors = (0.5, 0.75, 1.0, 1.25, 1.5)  # release
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"  # of the scaled images (release); or "bicubic"
    flip: bool = False  # look at mirror images too
    # Maximum of the logits over the scales (release); "mean": of the probabilities.
    fuse: Literal["max", "mean"] = "max"
    crf: CRF = "dense"  # refines the predictions (release); "none" goes without
    precision: Precision = "bf16"  # of a GPU: two networks of 24 GB in float32; the release: "fp16"; "no" or "tf32"
    workers: Natural = 4
