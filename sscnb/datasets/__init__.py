"""One data format: VOC-layout folders, how VOC and COCO become one, and what happens to an image before a network."""

from sscnb.datasets.checks import check_images
from sscnb.datasets.coco import prepare_coco
from sscnb.datasets.folder import IGNORE, VOC_CLASSES, Dataset, open_dataset
from sscnb.datasets.images import (
    MAX_PIXELS,
    SUFFIXES,
    UNREADABLE,
    image_size,
    read_image,
    read_mask,
    read_reduced,
)
from sscnb.datasets.palette import save_mask, voc_palette
from sscnb.datasets.transforms import Sample, augment, resize_long
from sscnb.datasets.voc import prepare_voc, voc_folder

__all__ = [
    "Dataset",
    "IGNORE",
    "MAX_PIXELS",
    "SUFFIXES",
    "Sample",
    "UNREADABLE",
    "VOC_CLASSES",
    "augment",
    "check_images",
    "image_size",
    "open_dataset",
    "prepare_coco",
    "prepare_voc",
    "read_image",
    "read_mask",
    "read_reduced",
    "resize_long",
    "save_mask",
    "voc_folder",
    "voc_palette",
]
