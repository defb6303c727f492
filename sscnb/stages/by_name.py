"""The stages by name, for the command line and the DAG.

Each finds its inputs in the run folder or says which notebook writes them, does nothing when its output is there with
the same settings, and returns what it wrote into `results.json`.
"""

from collections.abc import Callable

from sscnb.stages.cam import infer_cams, train_cam
from sscnb.stages.data import make_superpixels, prepare_data
from sscnb.stages.irn import make_ir_labels, train_irn
from sscnb.stages.predictions import evaluate_segmentation, predict_split
from sscnb.stages.pseudo import evaluate_pseudo_masks, make_pseudo_masks
from sscnb.stages.seeds import evaluate_seeds
from sscnb.stages.segmentation import train_segmentation
from sscnb.stages.stage import Result

RUN_STAGES: dict[str, Callable[..., Result]] = {"data": prepare_data, "superpixels": make_superpixels}
VARIANT_STAGES: dict[str, Callable[..., Result]] = {"cam": train_cam, "cams": infer_cams, "seeds": evaluate_seeds}
# These take a choice of CRF too.
REFINING_STAGES: dict[str, Callable[..., Result]] = {
    "ir_labels": make_ir_labels,
    "irn": train_irn,
    "pseudo": make_pseudo_masks,
    "pseudo_eval": evaluate_pseudo_masks,
}
# And these learn from a source: pseudo-masks of a variant, or the true masks.
SOURCE_STAGES: dict[str, Callable[..., Result]] = {
    "segmentation": train_segmentation,
    "predictions": predict_split,
    "segmentation_eval": evaluate_segmentation,
}
