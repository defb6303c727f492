"""Every setting in one place: frozen dataclasses whose defaults are the paper's.

A comment says why where a value is not the paper's own. FACTS in the comments refer to what the paper's text leaves
out and its release fills in; the book's page of differences lists both.
"""

from dataclasses import dataclass, field

from sscnb.datasets.scenes import SceneConfig


@dataclass(frozen=True)
class DataSettings:
    """Where the images come from and which split serves what."""

    source: str = "folder"  # "folder": a VOC-layout folder given as data_root; "scenes": the embedded scenes
    subset: str = ""  # a part of the folder whose ids the package lists, such as "voc_animals"; "": all of it
    train_split: str = "train_aug"  # image-level labels of these train the CAM network (Section IV-A)
    seed_split: str = "train"  # seeds and pseudo-masks are evaluated on these (Tables II, VII, VIII)
    val_split: str = "val"
    scenes: SceneConfig = field(default_factory=SceneConfig)


@dataclass(frozen=True)
class CAMSettings:
    """The CAM network and its training (Section IV-B)."""

    backbone: str = "resnet50"
    weights: str = "imagenet"  # or the path of a checkpoint file
    output_stride: int = 16
    detach: int = 2  # stem and stages 1..detach are frozen, as in the release
    # Where suppression stands: "released", since the text names no place; "paper" is the narrowest reading of it.
    fidelity: str = "released"
    delta: float = 0.55  # Eq. 3
    resize: tuple[int, int] = (320, 640)  # long side drawn uniformly from this range, in pixels (release)
    crop: int = 512
    epochs: int = 10
    batch_size: int = 6
    lr_backbone: float = 0.1
    lr_classifier: float = 1.0  # ten times the backbone's, as in IRN and the release; the text names .1 only
    momentum: float = 0.9  # the text's; the release has 1e-4 in effect, and steps a tenth as large, see `voc`
    weight_decay: float = 1e-4
    power: float = 0.9  # of the polynomial decay
    clip: float = 0.0  # largest gradient norm; 0 is off
    # "no" is float32, as in the release; "tf32", "bf16" and "fp16" are faster on a GPU. The perceptual loss suffers: in
    # bf16 the cosine of its gradient to float32's is about one half.
    precision: str = "no"
    workers: int = 4  # processes that load images


@dataclass(frozen=True)
class SuperpixelSettings:
    """Regions for self-modulation (Section IV-B)."""

    max_regions: int = 64
    # A folder of ready maps <id>.png, which then take the place of our own: ids as grey values of 8 or 16 bits, or as
    # ICD and the release have them, c0 + 256 c1 + 65536 c2 of an 8-bit colour image.
    folder: str = ""
    workers: int = 0  # processes; 0 is one a core


@dataclass(frozen=True)
class ReconstructionSettings:
    """CAM-driven reconstruction (Eq. 4 to 6, Table I; optimiser as in the release)."""

    beta: float = 1.0  # beta_p of Eq. 10
    width: int = 256
    lr: float = 5e-4
    betas: tuple[float, float] = (0.5, 0.999)
    loss_network: str = "vgg19"
    loss_weights: str = "imagenet"  # or the path of a checkpoint file
    taps: str = "last"  # "last": before each pooling layer (paper); "first": relu_x_1 (release)
    stage_weights: str = "paper"  # "paper": 1/32 .. 1/2; "released": 1/32 .. 1/4, 1
    loss_stride: int = 16  # output stride of the loss network: before VGG's last pooling layer
    scale: str = "none"  # for networks other than VGG: "network" or "activation", see PerceptualLoss
    early_stage: int = 3  # where "CDR early" reads (Table VII): the first stage that trains, since 1 and 2 are frozen
    checkpoint: bool = False  # recompute the decoder's and loss network's activations: less memory, same result


@dataclass(frozen=True)
class ModulationSettings:
    """Activation self-modulation and reliable activation selection (Eq. 7 to 9)."""

    beta: float = 1.0  # beta_a of Eq. 10
    threshold: float = 0.3  # T_obj
    erosion: int = 8  # r, in pixels of the half-resolution grid (256 for a crop of 512)
    warmup_epochs: int = 2  # alignment counts from the third epoch on (release)


@dataclass(frozen=True)
class InferenceSettings:
    """From a trained network to CAMs and seeds (Eq. 1; scales and flip as in the release)."""

    scales: tuple[float, ...] = (1.0, 0.5, 1.5, 2.0)
    flip: bool = True
    long_side: int = 0  # resize images to this long side first; 0 keeps their own size, as the paper does
    batch_size: int = 8
    threshold: float = 0.2  # of the seed: activation below it is background


@dataclass(frozen=True)
class IRNSettings:
    """The relation network and the labels it learns from (Section IV-B; numbers of IRN and of the release)."""

    backbone: str = "resnet50"
    weights: str = "imagenet"  # or the path of a checkpoint file
    output_stride: int = 16
    displacement: bool = True  # its loss is part of the method; without it the masks are the same
    foreground: float = 0.30  # strict threshold of the inter-pixel relation labels
    background: float = 0.10  # generous one (release; IRN has .05)
    crf: str = "dense"  # refines those labels; "none" goes without
    radius: int = 10  # pairs nearer than this many cells of the stride-4 grid are trained on
    pairs: str = "inside"  # all in the crop; "released": the first cell has radius - 1 others left, right and below
    long_side: int = 0  # resize images to this long side first, to train and to walk; 0 keeps their own size
    scale: tuple[float, float] = (0.5, 1.5)  # then, in training, by a factor drawn from this range
    crop: int = 512
    epochs: int = 3
    batch_size: int = 16  # release; IRN has 32
    lr_edge: float = 0.1
    lr_displacement: float = 1.0
    momentum: float = 1e-4  # release: its optimiser takes .9 for the decay's power. .9 makes steps ten times as large
    weight_decay: float = 1e-4
    power: float = 0.9
    pad: int = 512  # zeros to this side around images to find edges in; 0 only to whole cells. A part of group norm
    precision: str = "no"  # float32, as in the release; "tf32", "bf16" or "fp16" on a GPU
    workers: int = 4


@dataclass(frozen=True)
class PseudoMaskSettings:
    """From CAMs and boundaries to pseudo-masks by a random walk, and how far to trust them (IRN and the release)."""

    radius: int = 5  # in cells of the stride-4 grid
    beta: float = 10  # power of the affinities
    steps: int = 256
    tol: float = 1e-6  # of the walk, see `random_walk`
    threshold: float = 0.25  # of the background
    keep: float = 0.5  # share of each class's pixels that the confidence mask trusts
    trust: str = "margin"  # rounded up, with all that are as sure as the last; "rank": rounded down, exactly (release)
    workers: int = 0  # processes; 0 is one a core


@dataclass(frozen=True)
class SegmentationSettings:
    """DeepLabV2, its training on pseudo-masks and its inference (Section IV-B).

    The text names network, optimiser and epochs and else follows BECO; what it leaves open is here as in the release.
    """

    method: str = "cotrain"  # two networks that teach each other (BECO, release); "single": one
    backbone: str = "resnet101"
    weights: str = "imagenet_v2"  # torchvision's second set (release); "imagenet": the first; or a checkpoint's path
    output_stride: int = 16  # the release: 8
    batch_norm: str = "batch"  # statistics of each batch (release); "frozen": ImageNet's, for few images
    rates: tuple[int, ...] = (6, 12, 18, 24)
    long_side: int = 0  # resize images to this long side first, to predict and for "scale"; 0 keeps their own size
    crops: str = "area"  # a share of the image's area, resized (release); "scale": resized by a factor, cut or padded
    area: tuple[float, float] = (0.5, 0.75)  # that share
    ratio: tuple[float, float] = (3 / 4, 4 / 3)  # of its width to its height
    scale: tuple[float, float] = (0.5, 2.0)  # for "scale": the factor
    crop: int = 512
    color: bool = True  # change the crops' colours (release)
    epochs: int = 80
    batch_size: int = 16
    lr: float = 0.01
    head_factor: float = 1.0  # the classifier's rate over the backbone's (release); DeepLab has 10
    momentum: float = 0.9
    weight_decay: float = 1e-4
    power: float = 0.9
    min_lr: float = 0.0  # the rate falls no further; the release: 1e-5
    clip: float = 0.0  # largest gradient norm; 0 is off
    confidence: bool = False  # "single": train on the trusted pixels of the pseudo-masks alone
    # Co-training. The defaults are plain ClassMix and plain means; presets that follow the release choose the others.
    divide_by: str = "labelled"  # each loss by the pixels that have a label for it; "all": by all pixels (release)
    mix: str = "next"  # classes of the batch's next image, background too; "halves": see `mix_halves` (release)
    mix_probability: float = 0.5  # that an image receives classes of another (release)
    mix_warmup: int = 2  # "halves": from this epoch on, mixed images take what both networks say (release)
    mix_certainty: float = 0.95  # where its probability is above this (release)
    contour: str = "labels"  # what counts more: contours of trusted labels; "pasted": of what was pasted (release)
    contour_weight: float = 0.2  # by how much (release)
    # Inference.
    test_size: int = 512  # images are resized to a square of this side (release); 0 keeps their own size
    test_scales: tuple[float, ...] = (0.5, 0.75, 1.0, 1.25, 1.5)  # release
    interpolation: str = "bilinear"  # of the scaled images (release); or "bicubic"
    flip: bool = False  # look at mirror images too
    fuse: str = "max"  # maximum of the logits over the scales (release); "mean": of the probabilities
    crf: str = "dense"  # refines the predictions (release); "none" goes without
    precision: str = "bf16"  # of a GPU: two networks of 24 GB in float32; the release: "fp16"; "no" or "tf32"
    workers: int = 4


@dataclass(frozen=True)
class Config:
    """All settings of one run."""

    preset: str
    data: DataSettings = field(default_factory=DataSettings)
    cam: CAMSettings = field(default_factory=CAMSettings)
    superpixels: SuperpixelSettings = field(default_factory=SuperpixelSettings)
    reconstruction: ReconstructionSettings = field(default_factory=ReconstructionSettings)
    modulation: ModulationSettings = field(default_factory=ModulationSettings)
    inference: InferenceSettings = field(default_factory=InferenceSettings)
    irn: IRNSettings = field(default_factory=IRNSettings)
    pseudo: PseudoMaskSettings = field(default_factory=PseudoMaskSettings)
    segmentation: SegmentationSettings = field(default_factory=SegmentationSettings)
    variants: tuple[str, ...] = ("baseline", "drs", "drs+cdr_early", "drs+cdr", "drs+cdr+asm_no_ras", "ssc")
    refined: tuple[str, ...] = ("baseline", "ssc")  # of these, the ones that go on to pseudo-masks and segmentation
    seeds: tuple[int, ...] = (0,)  # the seeds that `reproduce` runs
