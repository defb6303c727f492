"""The archive that VOC's test server takes: predictions checked one by one, then packed."""

import gzip
import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from sscnb.datasets import UNREADABLE, Dataset, image_size, open_dataset, voc_folder, voc_palette
from sscnb.errors import UserError
from sscnb.files import replacing, user_path

_OURS = {"results.json", "settings.json"}  # what a run keeps beside its predictions
_PLACE = "results/VOC2012/Segmentation/comp6_test_cls"  # comp6: segmentation, trained on any data


def write_submission(
    predictions: str | Path, root: str | Path, output: str | Path, split: str = "test", *, progress: bool = True
) -> int:
    """Check the predictions of a split and pack them; return how many there are.

    The archive depends on the predictions' bytes alone: the same ones give the same file.

    Args:
        predictions: folder of `<id>.png`, mode P in VOC's palette, values 0..C, of their images' sizes; the folder of
            a run's own predictions will do.
        root: the VOC-layout folder that holds split and images, or the one with `VOCdevkit/VOC2012`.
        output: a `.tgz`.

    Raises:
        UserError: an image has no prediction or a prediction no image, or one is not as the server expects; names the
            files. Nothing is written then.
    """
    predictions, output = user_path(predictions), user_path(output)
    if output.suffix not in (".tgz", ".gz"):
        raise UserError(f"{output} must end in .tgz, the form that the server takes.")
    if not predictions.is_dir():
        raise UserError(f"{predictions} is no folder; expected one PNG an image in it.")
    root = user_path(root)
    dataset = open_dataset(voc_folder(root) or root)
    ids = sorted(dataset.ids(split))
    wanted, found = {f"{i}.png" for i in ids}, {path.name for path in predictions.iterdir()} - _OURS
    if predictions.resolve() == output.parent.resolve():
        found.discard(output.name)  # an earlier call's
    faults = [f"{predictions / name} is missing." for name in sorted(wanted - found)]
    faults += [f"{predictions / name} belongs to no image of split {split!r}." for name in sorted(found - wanted)]
    for image_id in tqdm(ids, desc="checking predictions", unit="img", mininterval=0.5, disable=not progress):
        if f"{image_id}.png" in found and (fault := _fault(predictions / f"{image_id}.png", dataset, image_id)):
            faults.append(fault)
    if faults:
        listed = "\n".join(faults[:5]) + (f"\n... and {len(faults) - 5} more." if len(faults) > 5 else "")
        raise UserError(f"no archive was written; of {len(ids)} predictions, {len(faults)} cannot be sent.\n{listed}")
    # Times, names and numbers of users are left at 0, so that they do not change the archive.
    with replacing(output) as temporary, temporary.open("wb") as file:
        with (
            gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w") as archive,
        ):
            for image_id in ids:
                content = (predictions / f"{image_id}.png").read_bytes()
                entry = tarfile.TarInfo(f"{_PLACE}/{image_id}.png")
                entry.size, entry.mode = len(content), 0o644
                archive.addfile(entry, io.BytesIO(content))
    return len(ids)


def _fault(path: Path, dataset: Dataset, image_id: str) -> str:
    """Return what the server would not take of a prediction, or nothing."""
    classes = len(dataset.classes)
    if not path.is_file():  # a pipe would be waited for
        return f"{path} is no file."
    try:
        with Image.open(path) as picture:
            if picture.format != "PNG" or picture.mode != "P":
                return f"{path} is a {picture.format} of mode {picture.mode}; expected a PNG of mode P, with a palette."
            values, palette = np.array(picture), picture.getpalette() or []
    except UNREADABLE as error:
        return f"{path} cannot be read ({error})."
    height, width = image_size(dataset.image_path(image_id))
    if values.shape != (height, width):
        return f"{path} is {values.shape[1]}x{values.shape[0]} pixels, its image {width}x{height}."
    if values.max() > classes:
        return f"{path} holds {values.max()}; expected class indices 0 to {classes}, and no ignored pixels."
    used = 3 * (int(values.max()) + 1)
    if palette[:used] != voc_palette()[:used]:
        return f"{path} has another palette than VOC's."
    return ""
