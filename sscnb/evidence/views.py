"""What can be seen of an image of a run, for the columns of a strip: activation, masks on their way, the truth.

A view is a function of an image's id and the image H,W,3 uint8; it returns a picture of the same size.
"""

from collections.abc import Callable, Sequence

import numpy as np
from torch import nn

from sscnb.datasets import IGNORE, Dataset, read_mask
from sscnb.evaluation import seed_from_activation
from sscnb.evidence import figures
from sscnb.segmentation import predict_mask
from sscnb.settings import VARIANTS, SegmentationSettings, find_variant
from sscnb.stages import Run, load_cams, load_confidence, load_network, load_walk, read_prediction

View = Callable[[str, np.ndarray], np.ndarray]


def short_title(source: str) -> str:
    """Return the title of a variant, or of what a segmentation network learns from, for a narrow column."""
    return "true masks" if source == "truth" else VARIANTS[source].title.replace("+ DRS + CDR + ASM (SSC)", "SSC")


def photograph(image_id: str, image: np.ndarray) -> np.ndarray:
    """Show the image as it is."""
    return image


def truth(dataset: Dataset) -> View:
    """Show the true mask over the image; plain grey where there is none."""
    return lambda image_id, image: figures.truth(dataset, image_id)


def activation(run: Run, variant: str) -> View:
    """Show a variant's CAMs, the maximum over the present classes, as a heat map (Eq. 1)."""

    def view(image_id: str, image: np.ndarray) -> np.ndarray:
        scores, _ = load_cams(run, variant, run.seed, image_id, image.shape[:2])
        return figures.overlay_activation(image, scores.max(axis=0, initial=0))

    return view


def activations(run: Run, variants: Sequence[str]) -> dict[str, View]:
    """Return the activation of each variant by its title, one part of the method a line."""
    return {VARIANTS[v].title.replace(" + ", "\n+ "): activation(run, v) for v in variants}


def seed(run: Run, variant: str) -> View:
    """Show a variant's seed at its fixed threshold."""
    threshold = find_variant(variant, run.config)[1].inference.threshold

    def view(image_id: str, image: np.ndarray) -> np.ndarray:
        cams = load_cams(run, variant, run.seed, image_id, image.shape[:2])
        return figures.overlay_mask(image, seed_from_activation(*cams, threshold))

    return view


def relation_label(run: Run, variant: str) -> View:
    """Show the label map that a variant's relation network learns from, in its colours alone."""
    folder = run.irn_folder(variant) / "ir_labels"
    return lambda image_id, image: figures.colour_mask(read_mask(folder / f"{image_id}.png"))


def walk_scores(run: Run, variant: str) -> View:
    """Show a variant's scores after the random walk, the maximum over the present classes, as a heat map."""

    def view(image_id: str, image: np.ndarray) -> np.ndarray:
        scores, _ = load_walk(run, variant, run.seed, image_id, image.shape[:2])
        return figures.overlay_activation(image, scores.max(axis=0, initial=0))

    return view


def pseudo_mask(run: Run, variant: str) -> View:
    """Show a variant's pseudo-mask."""
    folder = run.irn_folder(variant) / "pseudo_masks"
    return lambda image_id, image: figures.overlay_mask(image, read_mask(folder / f"{image_id}.png"))


def trusted_part(run: Run, variant: str) -> View:
    """Show the trusted part of a variant's pseudo-mask in its colours alone, light grey elsewhere."""
    folder = run.irn_folder(variant) / "pseudo_masks"

    def view(image_id: str, image: np.ndarray) -> np.ndarray:
        trusted = load_confidence(run, variant, run.seed, image_id)
        return figures.colour_mask(np.where(trusted, read_mask(folder / f"{image_id}.png"), IGNORE))

    return view


def prediction(run: Run, source: str) -> View:
    """Show the stored prediction of the segmentation network that learned from a source."""
    folder = run.segmentation_folder(source) / "predictions"
    return lambda image_id, image: figures.overlay_mask(image, read_prediction(folder, image_id))


def network(net: nn.Module, settings: SegmentationSettings) -> View:
    """Show what a segmentation network makes of the image."""
    return lambda image_id, image: figures.overlay_mask(image, predict_mask(net, image, settings))


def outcome(run: Run, variant: str) -> dict[str, View]:
    """Return the views of a variant's seed and, as far as they were made, of what became of it, by title."""
    views = {"seed": seed(run, variant)}
    if (run.irn_folder(variant) / "pseudo_masks/results.json").is_file():
        views["after IRN"] = pseudo_mask(run, variant)
    trained = run.segmentation_folder(variant)
    if (trained / "results.json").is_file():
        net, settings, _ = load_network(trained)
        views["segmentation"] = network(net, settings)
    return views
