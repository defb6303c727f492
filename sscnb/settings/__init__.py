"""Every value in one place: the settings, the presets made of them, and the variants that the ablations compare.

The kinds of values, such as `Share` or `Positive`, and their ranges stand in `sscnb/settings/types.py`.
"""

from sscnb.settings.config import changed_settings, load_config, override, settings_dict, settings_hash
from sscnb.settings.presets import PRESETS
from sscnb.settings.schema import Config
from sscnb.settings.to_masks import IRNSettings, PseudoMaskSettings, SegmentationSettings
from sscnb.settings.to_seeds import (
    CAMSettings,
    DataSettings,
    InferenceSettings,
    ModulationSettings,
    ReconstructionSettings,
    SuperpixelSettings,
)
from sscnb.settings.variants import (
    LADDER,
    SWEEPS,
    VARIANTS,
    Variant,
    find_variant,
    long_trunk,
    predicted_splits,
    refined_variants,
    segmentation_sources,
    sweep,
    trunk_ends,
    trunks,
)

__all__ = [
    "CAMSettings",
    "Config",
    "DataSettings",
    "IRNSettings",
    "InferenceSettings",
    "LADDER",
    "ModulationSettings",
    "PRESETS",
    "PseudoMaskSettings",
    "ReconstructionSettings",
    "SWEEPS",
    "SegmentationSettings",
    "SuperpixelSettings",
    "VARIANTS",
    "Variant",
    "changed_settings",
    "find_variant",
    "load_config",
    "long_trunk",
    "override",
    "predicted_splits",
    "refined_variants",
    "segmentation_sources",
    "settings_dict",
    "settings_hash",
    "sweep",
    "trunk_ends",
    "trunks",
]
