"""Views of an image: what stands in the run folder, over the image, at its size."""

import numpy as np
import pytest
from PIL import Image

from sscnb.datasets import save_mask
from sscnb.evaluation import seed_from_activation
from sscnb.evidence import figures, views
from sscnb.stages import load_cams, load_walk, open_run

IDS = ["000", "001"]


@pytest.fixture
def run(tmp_path, photographs):
    """A run on photographs with what the stages would have written for two images of the variant `drs`."""
    run = open_run("folder", run_dir=str(tmp_path / "run"), data_root=str(photographs), overrides={"irn.crf": "none"})
    run.folder.mkdir(exist_ok=True)
    run.dataset_folder.symlink_to(photographs)
    rng, classes = np.random.default_rng(0), np.array([2], np.int16)
    cams, irn = run.cam_folder("drs") / "cams", run.irn_folder("drs")
    predictions = run.segmentation_folder("truth") / "predictions"
    for folder in (cams, irn / "walks", irn / "ir_labels", irn / "pseudo_masks", irn / "confidence", predictions):
        folder.mkdir(parents=True)
    for image_id in IDS:
        height, width = run.dataset().image(image_id).shape[:2]
        maps = rng.random((1, height // 4, width // 4)).astype(np.float16)
        stored = {"grids": np.array([maps.shape[1:]]), "size": np.array([height, width]), "stride": np.array(4)}
        np.savez(cams / f"{image_id}.npz", classes=classes, maps=maps.astype(np.float32).reshape(1, -1), **stored)
        np.savez(irn / f"walks/{image_id}.npz", classes=classes, maps=maps[:, ::-1], size=np.array([height, width]))
        save_mask(irn / f"ir_labels/{image_id}.png", rng.choice([0, 2, 255], (height, width)).astype(np.uint8))
        for folder in (irn / "pseudo_masks", predictions):
            save_mask(folder / f"{image_id}.png", rng.choice([0, 1, 2], (height, width)).astype(np.uint8))
        sure = 255 * rng.integers(0, 2, (height, width)).astype(np.uint8)
        Image.fromarray(sure).save(irn / f"confidence/{image_id}.png")
    return run


def read(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


@pytest.mark.parametrize("image_id", IDS)
def test_views_show_what_the_stages_wrote(run, image_id):
    dataset = run.dataset()
    image = dataset.image(image_id)
    size, irn = image.shape[:2], run.irn_folder("drs")
    scores, classes = load_cams(run, "drs", 0, image_id, size)
    walked = load_walk(run, "drs", 0, image_id, size)[0]
    mask, label = read(irn / f"pseudo_masks/{image_id}.png"), read(irn / f"ir_labels/{image_id}.png")
    sure = read(irn / f"confidence/{image_id}.png") > 0
    predicted = read(run.segmentation_folder("truth") / f"predictions/{image_id}.png")
    expected = {
        views.photograph: image,
        views.truth(dataset): figures.overlay_mask(image, dataset.mask(image_id)),
        views.activation(run, "drs"): figures.overlay_activation(image, scores[0]),
        views.seed(run, "drs"): figures.overlay_mask(image, seed_from_activation(scores, classes, 0.2)),
        views.relation_label(run, "drs"): figures.colour_mask(label),
        views.walk_scores(run, "drs"): figures.overlay_activation(image, walked[0]),
        views.pseudo_mask(run, "drs"): figures.overlay_mask(image, mask),
        views.trusted_part(run, "drs"): figures.colour_mask(np.where(sure, mask, 255)),
        views.prediction(run, "truth"): figures.overlay_mask(image, predicted),
    }
    pictures = [view(image_id, image) for view in expected]
    for picture, wanted in zip(pictures, expected.values(), strict=True):
        assert picture.dtype == np.uint8 and np.array_equal(picture, wanted)
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


def test_a_seed_is_cut_at_its_variants_own_threshold(run):
    name = "drs@inference.threshold=0.7"
    run.cam_folder(name).parent.mkdir(parents=True)
    run.cam_folder(name).symlink_to(run.cam_folder("drs"))
    image = run.dataset().image("000")
    cut = seed_from_activation(*load_cams(run, "drs", 0, "000", image.shape[:2]), 0.7)
    assert np.array_equal(views.seed(run, name)("000", image), figures.overlay_mask(image, cut))


def test_activations_have_a_part_of_the_method_a_line(run):
    found = views.activations(run, ["baseline", "drs", "drs+cdr"])
    assert list(found) == ["baseline", "+ DRS", "+ DRS\n+ CDR"]
    image = run.dataset().image("000")
    assert np.array_equal(found["+ DRS"]("000", image), views.activation(run, "drs")("000", image))


def test_short_titles():
    assert [views.short_title(s) for s in ("baseline", "ssc", "truth")] == ["baseline", "SSC", "true masks"]


def test_the_outcome_is_as_far_as_it_was_made(run):
    assert list(views.outcome(run, "drs")) == ["seed"]
    (run.irn_folder("drs") / "pseudo_masks/results.json").write_text("{}")
    assert list(views.outcome(run, "drs")) == ["seed", "after IRN"]


def test_a_network_is_asked_about_the_image(run, monkeypatch):
    image = run.dataset().image("000")
    monkeypatch.setattr(views, "predict_mask", lambda net, image, settings: (image[..., 0] > net).astype(np.uint8))
    shown = views.network(100, None)("000", image)
    assert np.array_equal(shown, figures.overlay_mask(image, (image[..., 0] > 100).astype(np.uint8)))
