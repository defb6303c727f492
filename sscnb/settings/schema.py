"""All settings of a run in one object."""

from dataclasses import field

from pydantic.dataclasses import dataclass

from sscnb.settings.to_masks import IRNSettings, PseudoMaskSettings, SegmentationSettings
from sscnb.settings.to_seeds import (
    CAMSettings,
    DataSettings,
    InferenceSettings,
    ModulationSettings,
    ReconstructionSettings,
    SuperpixelSettings,
)
from sscnb.settings.types import CHECKED, Names, Seeds


@dataclass(frozen=True, config=CHECKED)
class Config:
    """All settings of one run."""

    preset: str
    data: DataSettings = field(default_factory=DataSettings)
    cam: CAMSettings = field(default_factory=CAMSettings)
    superpixels: SuperpixelSettings = field(default_factory=SuperpixelSettings)
    reconstruction: ReconstructionSettings = field(default_factory=ReconstructionSettings)
    modulation: ModulationSettings = field(default_factory=ModulationSettings)
    inference: InferenceSettings = field(default_factory=InferenceSettings)
    irn: IRNSettings = field(default_factory=IRNSettings)
    pseudo: PseudoMaskSettings = field(default_factory=PseudoMaskSettings)
    segmentation: SegmentationSettings = field(default_factory=SegmentationSettings)
    variants: Names = ("baseline", "drs", "drs+cdr_early", "drs+cdr", "drs+cdr+asm_no_ras", "ssc")
    refined: tuple[str, ...] = ("baseline", "ssc")  # of these, the ones that go on to pseudo-masks and segmentation
    seeds: Seeds = (0,)  # random seeds that `reproduce` runs
