"""One data format: VOC-layout folders, how VOC and COCO become one, and what happens to an image before a network."""

from sscnb.datasets.checks import check_images, misspelt
from sscnb.datasets.coco import prepare_coco
from sscnb.datasets.colour import change_colours
from sscnb.datasets.crops import augment_area
from sscnb.datasets.fingerprint import label_files, mask_files, remembered_digest
from sscnb.datasets.folder import IGNORE, VOC_CLASSES, Dataset, open_dataset
from sscnb.datasets.images import (
    MAX_PIXELS,
    SUFFIXES,
    UNREADABLE,
    image_size,
    read_ids,
    read_image,
    read_mask,
    read_reduced,
)
from sscnb.datasets.palette import save_mask, voc_palette
from sscnb.datasets.subsets import link_subset, subset_splits
from sscnb.datasets.transforms import Sample, augment, inner_size, pyramid, rescale, resize, resize_long
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
    "augment_area",
    "change_colours",
    "check_images",
    "image_size",
    "inner_size",
    "label_files",
    "link_subset",
    "mask_files",
    "misspelt",
    "open_dataset",
    "prepare_coco",
    "prepare_voc",
    "pyramid",
    "read_ids",
    "read_image",
    "read_mask",
    "read_reduced",
    "remembered_digest",
    "rescale",
    "resize",
    "resize_long",
    "save_mask",
    "subset_splits",
    "voc_folder",
    "voc_palette",
]
