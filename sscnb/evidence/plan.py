"""What a preset runs, as rows: networks, steps, what a step asks for. `sscnb.evidence.hours` makes tables of them."""

from typing import Any, NamedTuple

from sscnb.datasets import image_size, open_dataset, subset_splits
from sscnb.evidence import operations as count
from sscnb.settings import Config, long_trunk, predicted_splits, refined_variants, segmentation_sources
from sscnb.stages import Run


class Images(NamedTuple):
    """What steps and operations depend on: how many images, classes, H,W of an image."""

    train: int  # to learn from
    val: int  # kept back
    predicted: int  # by segmentation networks: those kept back, and those whose seeds are measured
    classes: int
    size: tuple[int, int]


def plan_rows(config: Config, images: Images, sources: list[str]) -> list[dict[str, Any]]:
    """Return a row for each kind of network, and for what is made with it afterwards.

    A network that begins with another's epochs counts the steps of its own. Its losses count as if they were on from
    the first step, which is too much where one sets in later.

    Args:
        sources: what segmentation networks learn from.

    Returns:
        Rows of metric "TFLOP", of one step or image, with the memory of a step ("gib"), how often ("times"), for how
        many networks ("runs"), of what ("of").
    """
    cam, irn, seg = config.cam, config.irn, config.segmentation
    seeds, refined = len(config.seeds), refined_variants(config)
    rows: list[dict[str, Any]] = []

    def row(stage: str, step: count.Step, of: str, times: int, runs: int, **more: Any) -> None:
        values = {"value": round(step.tflop, 4), "gib": round(step.gib, 1), "times": times, "runs": runs * seeds}
        rows.append({"metric": "TFLOP", "unit": "TFLOP", "stage": stage, "of": of, **values, **more})

    for variant in config.variants:
        trunk, shared = long_trunk(variant, config) or ("", 0)
        begins = f" after {shared} epochs of {trunk}" if trunk else ""
        times, batch = _steps(images.train, cam.batch_size, cam.epochs - shared)
        step = count.cam_step(config, variant, images.classes)
        row("cam", step, variant + begins, times, 1, batch=batch, precision=cam.precision)
    step = count.cam_image(config, config.variants[-1], images.classes, images.size)
    row("cams", step, "each", images.train + images.val, len(config.variants), precision=cam.precision)
    times, batch = _steps(images.train, irn.batch_size, irn.epochs)
    of, number = ", ".join(refined), len(refined)
    row("irn", count.irn_step(config, images.classes), of, times, number, batch=batch, precision=irn.precision)
    row("pseudo", count.edge_image(config, images.size), of, images.train, number, precision=irn.precision)
    times, batch = _steps(images.train, seg.batch_size, seg.epochs)
    of, number = ", ".join(sources), len(sources)
    step = count.segmentation_step(config, images.classes)
    row("segmentation", step, of, times, number, batch=batch, precision=seg.precision)
    tested = "tf32" if seg.precision == "tf32" else "no"  # inference is in float32 even where training is not
    step = count.predicted_image(config, images.classes, images.size)
    row("predictions", step, of, images.predicted, number, precision=tested)
    return [{"preset": config.preset, **found} for found in rows]


def plan_of_run(run: Run) -> list[dict[str, Any]]:
    """Return the rows of what `reproduce` runs of a run, done or not.

    Raises:
        UserError: the data set lacks the split to learn from.
    """
    dataset = None if run.config.data.source == "scenes" else open_dataset(run.data_root)
    return plan_rows(run.config, images_of_run(run), segmentation_sources(run.config, dataset))


def images_of_run(run: Run) -> Images:
    """Return what a run learns from and predicts.

    Raises:
        UserError: the data set lacks the split to learn from, or an image of it.
    """
    data = run.config.data
    if data.source == "scenes":
        scenes = data.scenes
        size, classes = (scenes.size, scenes.size), len(scenes.classes)
        return Images(scenes.train, scenes.val, scenes.train + scenes.val, classes, size)
    dataset = open_dataset(run.data_root)
    listed = subset_splits(data.subset) if data.subset else {}

    def ids(split: str) -> list[str]:
        return listed.get(split) or dataset.ids(split)

    train, predicted = ids(data.train_split), [len(ids(split)) for split in predicted_splits(run.config, dataset)]
    for image_id in train:
        dataset.image_path(image_id)
    size = image_size(dataset.image_path(train[0]))
    return Images(len(train), predicted[0], sum(predicted), len(dataset.classes), size)


def _steps(images: int, batch: int, epochs: int) -> tuple[int, int]:
    """Return the steps of a training and the batch of each: the last, smaller batch of an epoch is left out."""
    batch = min(batch, images)
    return epochs * (images // batch), batch
