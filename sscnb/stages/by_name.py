"""The stages by name, for the command line and the DAG.

Each finds its inputs in the run folder or says which notebook writes them, does nothing when its output is there with
the same settings, and returns what it wrote into `results.json`.
"""

from collections.abc import Callable, Iterator
from functools import partial

from sscnb.settings import predicted_splits, refined_variants, segmentation_sources
from sscnb.stages.cam import infer_cams, train_cam
from sscnb.stages.data import make_superpixels, prepare_data
from sscnb.stages.irn import make_ir_labels, train_irn
from sscnb.stages.predictions import evaluate_segmentation, evaluate_train, predict_split, predict_train
from sscnb.stages.pseudo import evaluate_pseudo_masks, make_pseudo_masks
from sscnb.stages.run import Run, only_looking
from sscnb.stages.seeds import evaluate_seeds
from sscnb.stages.segmentation import train_segmentation
from sscnb.stages.stage import NotFinished, OtherSettings, Result

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
ON_TRAIN: dict[str, Callable[..., Result]] = {"train_predictions": predict_train, "train_eval": evaluate_train}
SOURCE_STAGES |= ON_TRAIN


def planned(run: Run) -> Iterator[tuple[str, Callable[..., Result]]]:
    """Yield what `reproduce` runs of this run, in order: a name for people, and the stage."""
    for name, stage in RUN_STAGES.items():
        yield name, stage
    dataset = run.dataset() if run.dataset_folder.exists() else None
    for seed in run.config.seeds:
        for variant in run.config.variants:
            for name, stage in VARIANT_STAGES.items():
                yield f"{name} of {variant}, random seed {seed}", partial(stage, variant=variant, seed=seed)
        for variant in refined_variants(run.config):
            for name, stage in REFINING_STAGES.items():
                yield f"{name} of {variant}, random seed {seed}", partial(stage, variant=variant, seed=seed)
        one_split = len(predicted_splits(run.config, dataset)) == 1
        for source in segmentation_sources(run.config, dataset):
            for name, stage in SOURCE_STAGES.items():
                if one_split and name in ON_TRAIN:
                    continue
                yield f"{name} from {source}, random seed {seed}", partial(stage, source=source, seed=seed)


def look(run: Run) -> tuple[list[str], list[str]]:
    """Return which stages have work left, by name, and what stands in the way of it: output of other settings."""
    work, conflicts = [], []
    for name, stage in planned(run):
        try:
            stage(only_looking(run))
        except NotFinished:
            work.append(name)
        except OtherSettings as error:
            conflicts.append(str(error))
    return work, conflicts
