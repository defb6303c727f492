"""Merge adjacent regions by the similarities of selective search (Uijlings et al., IJCV 2013, Section 3.2)."""

import heapq
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

COLOUR_BINS = 25  # per channel of HSV
TEXTURE_BINS = 10  # per channel of RGB and orientation
ORIENTATIONS = 8
# Below one grey level two means are the same colour. Felzenszwalb's blur leaves strips along strong straight edges
# that differ from their neighbour in the blurred image only; this is what gives them back.
SAME_COLOUR = 1.0


@dataclass(frozen=True)
class Regions:
    """What selective search compares of S regions.

    `size` S: pixels. `box` S,4: row and column of the first pixel and of the last one plus one.
    `histogram` S,K: colour histogram beside texture histogram, each of which sums to 1 in every region.
    """

    size: np.ndarray
    box: np.ndarray
    histogram: np.ndarray


def adjacent_pairs(regions: np.ndarray) -> np.ndarray:
    """Return the pairs (i, j), i < j, of regions that share a pixel edge, sorted: P,2 for a map H,W of ids 0..S-1."""
    count = int(regions.max()) + 1
    sides = ((regions[:, 1:], regions[:, :-1]), (regions[1:], regions[:-1]))
    keys = []
    for one, other in sides:
        apart = one != other
        a, b = one[apart].astype(np.int64), other[apart].astype(np.int64)
        keys.append(np.unique(np.minimum(a, b) * count + np.maximum(a, b)))
    return np.stack(np.divmod(np.unique(np.concatenate(keys)), count), axis=1)


def absorb_fragments(image: np.ndarray, regions: np.ndarray, min_size: int) -> np.ndarray:
    """Join every region below `min_size` pixels to its neighbour of nearest mean colour, and neighbours of one colour.

    Each round joins all such pairs at once, as in Boruvka's minimum spanning tree, until none is left.

    Args:
        image: H,W,3 uint8.
        regions: H,W ids 0..S-1, every region connected.

    Returns:
        H,W ids 0..S'-1; every region is connected and has `min_size` pixels or is the only one.
    """
    while True:
        size = np.bincount(regions.ravel())
        pairs = adjacent_pairs(regions)
        if len(pairs) == 0:
            return regions
        mean = np.stack([np.bincount(regions.ravel(), image[..., k].ravel()) for k in range(3)], axis=1) / size[:, None]
        distance = np.abs(mean[pairs[:, 0]] - mean[pairs[:, 1]]).max(axis=1)
        same = pairs[distance < SAME_COLOUR]
        both = np.concatenate([pairs, pairs[:, ::-1]])
        both = both[np.lexsort((both[:, 1], np.tile(distance, 2), both[:, 0]))]
        nearest = both[np.unique(both[:, 0], return_index=True)[1]]
        join = np.concatenate([same, nearest[size[nearest[:, 0]] < min_size]])
        if len(join) == 0:
            return regions
        graph = coo_array((np.ones(len(join), bool), join.T), shape=(len(size), len(size)))
        regions = connected_components(graph, directed=False)[1][regions]


def describe(image: np.ndarray, regions: np.ndarray) -> Regions:
    """Measure size, bounding box, colour and texture of every region.

    Colour: histogram of HSV, 25 bins a channel. Texture: histogram of Gaussian derivatives (sigma 1) in 8 orientations,
    10 bins for each channel of RGB and orientation, from 0 to the channel's largest in the image.
    Counted one channel and orientation at a time, so that memory stays O(H·W).

    Args:
        image: H,W,3 uint8.
        regions: H,W ids 0..S-1.
    """
    flat = regions.ravel().astype(np.int64)
    count = int(flat.max()) + 1
    size = np.bincount(flat)

    def histogram(bins: np.ndarray, number: int) -> np.ndarray:
        return np.bincount(flat * number + bins.ravel(), minlength=count * number).reshape(count, number)

    hsv = np.asarray(Image.fromarray(image).convert("HSV")).astype(np.int64)
    colour = [histogram(hsv[..., k] * COLOUR_BINS // 256, COLOUR_BINS) for k in range(3)]
    texture = []
    for k in range(3):
        channel = image[..., k].astype(np.float32)
        dy, dx = (ndimage.gaussian_filter(channel, 1.0, order=order) for order in ((1, 0), (0, 1)))
        scale = TEXTURE_BINS / max(float(np.hypot(dy, dx).max()), 1.0)
        for angle in np.arange(ORIENTATIONS) * (2 * np.pi / ORIENTATIONS):
            # A derivative of a Gaussian is steerable: two filters give every orientation.
            along = (np.cos(angle) * dx + np.sin(angle) * dy) * scale
            texture.append(histogram(along.clip(0, TEXTURE_BINS - 1).astype(np.int64), TEXTURE_BINS))
    parts = [np.concatenate(part, axis=1) / (size[:, None] * len(part)) for part in (colour, texture)]
    box = np.array([(y.start, x.start, y.stop, x.stop) for y, x in ndimage.find_objects(regions + 1)])
    return Regions(size, box, np.concatenate(parts, axis=1).astype(np.float32))


def similarity(regions: Regions, i: np.ndarray, j: np.ndarray | int, area: int) -> np.ndarray:
    """Return colour + texture + size + fill similarity of the pairs (i, j), each in [0, 1] (Uijlings et al., Eq. 1-5).

    Args:
        area: H·W, the pixels of the image.
    """
    both = regions.size[i] + regions.size[j]
    low = np.minimum(regions.box[i, :2], regions.box[j, :2])
    high = np.maximum(regions.box[i, 2:], regions.box[j, 2:])
    around = (high - low).prod(axis=-1)
    looks = np.minimum(regions.histogram[i], regions.histogram[j]).sum(axis=-1)  # colour + texture
    return looks + (1 - both / area) + (1 - (around - both) / area)


def merge_regions(image: np.ndarray, regions: np.ndarray, max_regions: int) -> np.ndarray:
    """Merge the most similar pair of adjacent regions until at most `max_regions` are left.

    Equally similar pairs are taken by their ids, older regions first.

    Args:
        image: H,W,3 uint8.
        regions: H,W ids 0..S-1, every region connected.

    Returns:
        H,W ids without gaps, every region connected.
    """
    count = int(regions.max()) + 1
    if count <= max_regions:
        return regions
    merges = count - max_regions
    pairs = adjacent_pairs(regions)
    first = describe(image, regions)
    # A merged region gets an id of its own, so that what the heap knows about its parts is recognised as out of date.
    room = (np.zeros((merges, *a.shape[1:]), a.dtype) for a in vars(first).values())
    size, box, histogram = (np.concatenate(part) for part in zip(vars(first).values(), room, strict=True))
    growing = Regions(size, box, histogram)
    left, right = pairs.T
    heap = list(zip((-similarity(growing, left, right, regions.size)).tolist(), *pairs.T.tolist(), strict=True))
    heapq.heapify(heap)
    neighbours: list[set[int]] = [set() for _ in range(count + merges)]
    for i, j in pairs.tolist():
        neighbours[i].add(j)
        neighbours[j].add(i)
    parent = np.arange(count + merges)
    new = count
    while new < count + merges:
        _, i, j = heapq.heappop(heap)
        if parent[i] != i or parent[j] != j:
            continue
        parent[[i, j]] = new
        size[new] = size[i] + size[j]
        box[new] = *np.minimum(box[i, :2], box[j, :2]), *np.maximum(box[i, 2:], box[j, 2:])
        histogram[new] = (size[i] * histogram[i] + size[j] * histogram[j]) / size[new]
        neighbours[new] = (neighbours[i] | neighbours[j]) - {i, j}
        around = sorted(neighbours[new])
        for k in around:
            neighbours[k] -= {i, j}
            neighbours[k].add(new)
        scores = similarity(growing, np.array(around, dtype=np.int64), new, regions.size)
        for score, k in zip(scores.tolist(), around, strict=True):
            heapq.heappush(heap, (-score, k, new))
        new += 1
    # Parents have larger ids than their parts: from the last one down, every region is one step from its root.
    for i in range(new - 1, -1, -1):
        parent[i] = parent[parent[i]]
    return np.unique(parent[:count], return_inverse=True)[1][regions]
