"""The kinds of values that settings have, with their ranges."""

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field

# Of every settings class: what a value may be stands beside it, and is checked when it is set.
CHECKED = ConfigDict(strict=True, extra="forbid", validate_default=True)

Natural = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Above0 = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]  # a learning rate
Fraction = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(gt=0, le=1)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
Factor = Annotated[float, Field(ge=0.05, le=16)]  # of an image's size
Stage = Annotated[int, Field(ge=0, le=4)]  # of a staged backbone; 0 is the stem
Width = Annotated[int, Field(gt=0, multiple_of=8)]
Radius = Annotated[int, Field(ge=2)]
Regions = Annotated[int, Field(ge=1, le=256)]
BackboneName = Literal["resnet50", "resnet101", "vgg16", "vgg19", "efficientnet_lite0", "efficientnet_lite0_relu"]
OutputStride = Literal[8, 16, 32]
Precision = Literal["no", "tf32", "bf16", "fp16"]
CRF = Literal["dense", "none"]


def _different(values: tuple) -> tuple:
    if len(set(values)) < len(values):
        raise ValueError("it should not hold a value twice")
    return values


def _ascending(values: tuple) -> tuple:
    if values[0] > values[1]:
        raise ValueError("it should be the smallest and the largest value, in this order")
    return values


Names = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_different)]
Seeds = Annotated[tuple[Natural, ...], Field(min_length=1), AfterValidator(_different)]
Factors = Annotated[tuple[Factor, ...], Field(min_length=1)]
SizeRange = Annotated[tuple[Positive, Positive], AfterValidator(_ascending)]
FactorRange = Annotated[tuple[Factor, Factor], AfterValidator(_ascending)]
Dilations = Annotated[tuple[Positive, ...], Field(min_length=1)]
Split = Annotated[str, Field(pattern=r"^[\w.-]+$")]  # a list's file name
Side = Annotated[int, Field(ge=0)]  # of an image in pixels; 0 keeps its own
Betas = tuple[BelowOne, BelowOne]
AreaRange = Annotated[tuple[Share, Share], AfterValidator(_ascending)]
