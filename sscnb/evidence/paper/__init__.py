"""The numbers that the SSC paper prints, as data: Tables I to IX whole, and the values tried in Fig. 7.

Every row is as printed, also where the paper contradicts itself; the column `note` says so. mIoU is in percent and
GPU memory in GB. `citation` is the number in the paper's list of references, `sup` the supervision (I image-level
labels, S saliency maps, O out-of-distribution images, L language), and `ours` marks the paper's full method.
"""

from importlib.resources import files

import pandas as pd

from sscnb.errors import UserError

CAPTIONS = {
    1: "Blocks of the reconstruction network, from the CAM features to the image.",
    2: "mIoU (%) of seeds and of pseudo-masks after IRN, PASCAL VOC 2012 train.",
    3: "mIoU (%) of segmentation with a VGG backbone, PASCAL VOC 2012 val and test.",
    4: "mIoU (%) of segmentation with a ResNet or other backbone, PASCAL VOC 2012 val and test.",
    5: "mIoU (%) of segmentation with a VGG backbone, COCO val.",
    6: "mIoU (%) of segmentation with a ResNet or other backbone, COCO val.",
    7: "mIoU (%) of seeds as the parts are added one by one, PASCAL VOC 2012 train.",
    8: "mIoU (%) of seeds with different reconstruction losses, without self-modulation, PASCAL VOC 2012 train.",
    9: "GPU memory (GB) of training as the parts are added one by one.",
}


def load(table: int) -> pd.DataFrame:
    """Return one of the paper's tables, a row for each printed row, in the printed order.

    Columns are the paper's in lower case (`seed`, `val`, `miou`, ...) as floats, with NaN where the cell is empty
    (Table IX, baseline), and text as strings, "" where empty. `citation` is a nullable integer, `ours` a boolean.

    Raises:
        UserError: the paper has no such table.

    Source: Tables I to IX.
    """
    caption(table)
    return _read(f"table_{table}.csv")


def caption(table: int) -> str:
    """Return what a table shows, with its metric, unit and split.

    Raises:
        UserError: the paper has no such table.
    """
    if table not in CAPTIONS:
        raise UserError(f"There is no table {table!r} in the paper: choose a number from 1 to {max(CAPTIONS)}.")
    return CAPTIONS[table]


def references() -> dict[int, str]:
    """Return the BibTeX key in `book/references.bib` of each work of the paper's list that the book mentions.

    Source: the paper's list of references.
    """
    table = _read("references.csv")
    return dict(zip(table["citation"].astype(int), table["key"], strict=True))


def load_sweep() -> pd.DataFrame:
    """Return the values tried in Fig. 7 of beta_p, beta_a (panel a) and the erosion size r in pixels (panel b).

    `good` marks the range that the text calls better (beta_p, r) or more stable (beta_a), `chosen` the value that the
    paper uses elsewhere. No accuracy is printed for any of them, only curves, so there is no mIoU column.

    Source: Fig. 7 and Section IV-D.3.
    """
    return _read("figure_7.csv")


def load_frontier() -> pd.DataFrame:
    """Return what works beside and after SSC report from image-level labels: not from this paper, each in its setting.

    Columns: `method`, `seed` (VOC 2012 train), `val` and `test` (VOC 2012), `coco` (COCO val), mIoU in percent; NaN
    where no number is known to us.

    Source: the works themselves, by name.
    """
    return _read("frontier.csv", empty=("seed", "val", "test", "coco"))


def _read(name: str, empty: tuple[str, ...] = ()) -> pd.DataFrame:
    with files(__name__).joinpath(name).open(encoding="utf-8") as lines:
        # Empty means "missing" in numeric columns alone: no text may turn into NaN, whatever it says.
        missing = {column: [""] for column in ("citation", "gpu_gb", *empty)}
        return pd.read_csv(lines, keep_default_na=False, na_values=missing, dtype={"citation": "Int64"})
