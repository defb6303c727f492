"""Data sets: VOC-layout folders, the transforms that training uses, and the embedded scenes."""

from sscnb.datasets.folder import IGNORE, VOC_CLASSES, Dataset, open_dataset

__all__ = ["IGNORE", "VOC_CLASSES", "Dataset", "open_dataset"]
