"""One function a stage: finds its inputs in the run folder, leaves finished output alone, writes whole files."""

from sscnb.stages.by_name import REFINING_STAGES, RUN_STAGES, SOURCE_STAGES, VARIANT_STAGES, look
from sscnb.stages.cam import infer_cams, load_cam_net, load_objective, train_cam
from sscnb.stages.data import make_superpixels, prepare_data
from sscnb.stages.irn import build_relations, load_irn, make_ir_labels, resized, train_irn
from sscnb.stages.modulation import modulate, modulation_lift
from sscnb.stages.notebook import begin
from sscnb.stages.predictions import (
    evaluate_segmentation,
    evaluate_train,
    predict_split,
    predict_train,
    read_prediction,
)
from sscnb.stages.provenance import project_root, provenance, stamp_code
from sscnb.stages.pseudo import evaluate_pseudo_masks, load_confidence, load_walk, make_pseudo_masks, walk
from sscnb.stages.reconstruction import class_contribution, decoder_input, rebuild_image
from sscnb.stages.run import Run, open_run
from sscnb.stages.seeds import evaluate_seeds, load_cams, load_grid_cams
from sscnb.stages.segmentation import build_segmentation, load_network, load_segmentation, train_segmentation
from sscnb.stages.stage import Result, Stage

__all__ = [
    "REFINING_STAGES",
    "RUN_STAGES",
    "Result",
    "Run",
    "SOURCE_STAGES",
    "Stage",
    "VARIANT_STAGES",
    "begin",
    "build_relations",
    "build_segmentation",
    "class_contribution",
    "decoder_input",
    "evaluate_pseudo_masks",
    "evaluate_seeds",
    "evaluate_segmentation",
    "evaluate_train",
    "infer_cams",
    "load_cam_net",
    "load_cams",
    "load_confidence",
    "load_grid_cams",
    "load_irn",
    "load_network",
    "load_objective",
    "load_segmentation",
    "load_walk",
    "look",
    "make_ir_labels",
    "make_pseudo_masks",
    "make_superpixels",
    "modulate",
    "modulation_lift",
    "open_run",
    "predict_split",
    "predict_train",
    "prepare_data",
    "project_root",
    "provenance",
    "read_prediction",
    "rebuild_image",
    "resized",
    "stamp_code",
    "train_cam",
    "train_irn",
    "train_segmentation",
    "walk",
]
