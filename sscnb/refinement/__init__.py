"""From CAMs to pseudo-masks: inter-pixel relations, the random walk, and the dense CRF."""

from sscnb.refinement.affinity import affinities, pair_offsets
from sscnb.refinement.crf import refine_probabilities, require_crf
from sscnb.refinement.irn import IRN, edge_map, set_mean_displacement
from sscnb.refinement.irn_loss import labels_on_grid, relation_loss
from sscnb.refinement.one_cell import cell_affinities, strongest_cell, walk_from
from sscnb.refinement.pseudo_masks import confidence_mask, ir_label, pseudo_mask, walk_scores
from sscnb.refinement.walk import random_walk

__all__ = [
    "IRN",
    "affinities",
    "cell_affinities",
    "confidence_mask",
    "edge_map",
    "ir_label",
    "labels_on_grid",
    "pair_offsets",
    "pseudo_mask",
    "random_walk",
    "refine_probabilities",
    "relation_loss",
    "require_crf",
    "set_mean_displacement",
    "strongest_cell",
    "walk_from",
    "walk_scores",
]
