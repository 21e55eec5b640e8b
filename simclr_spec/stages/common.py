"""What the parameters of several kinds of Step have in common.

There are no defaults: every value is declared in a recipe, with its source. A Step's fingerprint covers every field here.
"""

# No `from __future__ import annotations`: the schemas are made from the annotations, and real ones need no evaluation.
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from simclr_spec.core.fields import POSITIVE, SHARE, Schema, described
from simclr_spec.data.registry import LOADERS, LoaderName
from simclr_spec.data.splits import Counts, Splits
from simclr_spec.stages import schedule
from simclr_spec.stages.network import BLOCKS
from simclr_spec.stages.schedule import DECAYS, SCALINGS, Schedule

SIDE: Schema = {"minimum": 1, "maximum": 4096}
"""of images"""


@dataclass(frozen=True, kw_only=True)
class DatasetConfig:
    """Facts of a data set, from specs/datasets/; the digest identifies its images and labels."""

    name: str = described("name of the data-set file")
    loader: LoaderName = described("how the images are read")
    digest: str = described("SHA-256 of the manifest: every image and label, in order; empty = not verified")
    classes: int | None = described(
        "number of classes; none = images without labels, which pretraining alone can use", minimum=2
    )
    train_images: int = described("images in the training split", minimum=1)
    test_images: int | None = described("images in the evaluation split; none where there are no classes", minimum=1)
    image_size: int = described("side of the square network input, in pixels", SIDE)

    @property
    def splits(self) -> Splits:
        """All that it has."""
        return Splits.of(self.classes)

    def miscounted(self, found: Counts, folder: Path | None, origin: str = "") -> str:
        """What is wrong with the numbers of training images, test images and classes that were found, or the empty string."""
        train = None if found.train_images is None else self.train_images
        declared = Counts(train, self.test_images, self.classes)
        if found == declared:
            return ""
        numbers, others = (["no" if count is None else f"{count:,}" for count in counts] for counts in (declared, found))
        images = "{} training and {} test images of {} classes" if train else "{1} test images of {2} classes"
        places = LOADERS[self.loader].folders_of(found.splits, folder) if folder else []
        where = f" in {' and '.join(map(str, places))}" if places else ""
        sentence = f"data set '{self.name}' is declared with {images.format(*numbers)}{origin and f' ({origin})'}"
        return f"{sentence}; found {('{}, {} and {}' if train else '{1} and {2}').format(*others)}{where}"


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """A ResNet up to its final average pooling."""

    depth: int = described("ResNet depth", choices=BLOCKS)
    width: int = described("width multiplier", minimum=1)
    sk: bool = described("selective kernels, which bring ResNet-D")
    base_width: int = described("channels of the first group at width 1", minimum=2)
    stem: Literal["imagenet", "cifar", "standardised"] = described(
        "7x7 (or 3x3 thrice with SK) stride 2 and max-pool, or one 3x3 stride 1; standardised: as imagenet, of images less "
        "their mean and by their deviation over ImageNet, as torchvision's networks have it"
    )
    sk_ratio: float = described("squeeze ratio of selective kernels", POSITIVE, maximum=1000)
    sk_min_width: int = described("least squeeze width of selective kernels", minimum=1)
    bn_decay: float = described("decay of BN's moving statistics per train step", SHARE)
    bn_epsilon: float = described("added to BN's variance", POSITIVE)
    bn_variance: Literal["biased", "unbiased"] = described("which batch variance moves the moving variance")
    max_pool: Literal["tensorflow", "torchvision"] = described("padding of the stem's max-pool: at the end, or on both sides")
    stride: Literal["3x3", "1x1"] = described("convolution of a bottleneck that strides")
    sk_dilation: int = described("dilation of the second stream of selective kernels", minimum=1, maximum=8)
    shortcut_pool: Literal["all", "strided"] = described(
        "shortcuts that ResNet-D's mean pooling precedes: all, or those with a stride"
    )
    init: Literal["tensorflow", "he"] = described("truncated normal of variance 1/fan_in, or He's normal of variance 2/fan_out")


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """The projection head: layers - 1 hidden layers as wide as their input, then the output layer; BN in every layer."""

    layers: int = described("fully connected layers, the output included", minimum=1, maximum=8)
    width: int = described("multiplier of the hidden layers' width", minimum=1)
    out_dim: int = described("size of the output", minimum=2)
    last_beta: bool = described("β in the last layer's BN")


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What becomes of an image before an evaluated network sees it: values of an AugmentConfig that go with the weights."""

    orientation: Literal["stored", "exif"] = described("see AugmentConfig")
    resize: Literal["tensorflow", "antialias"] = described("see AugmentConfig")
    test_crop: float = described("see AugmentConfig", POSITIVE, maximum=1)
    inputs: Literal["RGB in [0, 1], not standardised"] = described(
        "what the network takes", default="RGB in [0, 1], not standardised"
    )


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Random augmentation of training images, and the crop of evaluation images."""

    orientation: Literal["stored", "exif"] = described("photos as their pixels are stored, or turned as their EXIF says")
    crop: Literal["tensorflow", "torchvision"] = described("variant of the random crop")
    crop_area_min: float = described("least area of a crop, share of the image", SHARE)
    crop_area_max: float = described("largest area of a crop, share of the image", SHARE)
    crop_aspect_min: float = described("least aspect ratio of a crop", POSITIVE)
    crop_aspect_max: float = described("largest aspect ratio of a crop", POSITIVE)
    crop_min_covered: float = described("crops of less area than this are rejected (tensorflow's variant)", SHARE)
    resize: Literal["tensorflow", "antialias"] = described(
        "bicubic without antialias as the official code does, or torch's antialiased"
    )
    flip: float = described("probability of a horizontal flip", SHARE)
    colour: Literal["simclrv2", "simclr", "torchvision"] = described(
        "colour operations: clipped after each, per-channel contrast; with SimCLR's additive brightness; or torchvision's"
    )
    colour_probability: float = described("probability of colour distortion", SHARE)
    colour_strength: float = described("brightness, contrast, saturation 0.8 and hue 0.2 times this", minimum=0)
    greyscale: float = described("probability of greyscale", SHARE)
    blur: float = described("probability of Gaussian blur", SHARE)
    blur_sigma_min: float = described("least sigma of the blur, in pixels", POSITIVE)
    blur_sigma_max: float = described("largest sigma of the blur, in pixels", POSITIVE)
    blur_sigma: Literal["per_view", "per_sample"] = described("one sigma per view and train step, or one per image")
    blur_kernel: float = described("blur kernel as a share of the image side", SHARE)
    blur_border: Literal["zero", "reflect"] = described("what the blur sees beyond the border: black, or the image mirrored")
    autoaugment: bool = described("AutoAugment's ImageNet policy after crop and flip (library code)")
    test_crop: float = described("central share of the shorter side at evaluation; 1 = the whole image", POSITIVE, maximum=1)

    @property
    def evaluation(self) -> EvaluationConfig:
        return EvaluationConfig(orientation=self.orientation, resize=self.resize, test_crop=self.test_crop)


@dataclass(frozen=True, kw_only=True)
class LabelsConfig:
    """Which training images have labels. Exactly one of `fraction`, `per_class` is set; `list` pins a published list."""

    fraction: float | None = described("share of the training images", POSITIVE, maximum=1)
    per_class: int | None = described("labelled images per class", minimum=1)
    sampler: Literal["balanced", "list"] = described(
        "class-balanced nested sampler (revision 1), or a published list of file names"
    )
    list_digest: str = described("SHA-256 of the list when sampler is list, else empty")
    seed: int | None = described("seed of the sampler; null when every image is labelled or a list is used", minimum=0)

    def count(self, images: int, classes: int) -> int:
        """Labelled ones among the training images."""
        return schedule.labelled_images(images=images, classes=classes, fraction=self.fraction, per_class=self.per_class)


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """What every kind of stage declares; each adds the `revision` of its arithmetic."""

    dataset: DatasetConfig
    encoder: EncoderConfig

    @property
    def labels_read(self) -> LabelsConfig | None:
        """The labels that a Step looks at; None where it needs none."""
        return None


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(StageConfig):
    """What every kind of training declares."""

    seed: int = described("seed of initial weights, order of images and augmentation", minimum=0)
    augment: AugmentConfig
    epochs: float = described("passes over the training images", POSITIVE, maximum=10**9)
    train_steps: int | None = described("stop after this many train steps instead of by epochs (schedule included)", minimum=1)
    batch: int = described("images per train step, over all devices", minimum=2)
    batch_at_most_examples: bool = described("with fewer training examples than `batch`, use them all in every train step")
    micro_batch: int | None = described("images per forward pass, over all devices; BN then sees only these", minimum=2)
    optimizer: Literal["lars", "sgd"] = described("LARS in Google's form, or SGD")
    nesterov: bool = described("Nesterov momentum")
    learning_rate: float = described("coefficient of the peak learning rate", POSITIVE)
    learning_rate_scaling: str = described("peak = coefficient x sqrt(batch), x batch/256, or as it is", choices=SCALINGS)
    warmup: float = described("share of the epochs (of `train_steps`, where set) with a linear warm-up from 0", SHARE)
    decay: str = described("decay of the learning rate after the warm-up", choices=DECAYS)
    momentum: float = described("momentum", SHARE)
    weight_decay: float = described("weight decay", minimum=0)
    trust_coefficient: float = described("LARS's eta", POSITIVE)
    lars_scope: Literal["kernels", "all"] = described(
        "what LARS adapts and decays: kernels but the classifier's, or everything"
    )
    decay_classifier: bool = described("weight decay reaches the classifier's kernel (and, with SGD, its bias)")
    precision: Literal["fp32", "bf16"] = described("arithmetic of the forward pass: float32, or bfloat16 autocast")
    channels_last: bool = described("channels_last memory format")
    compile: bool = described("torch.compile the network")
    test_images: int | None = described("evaluate on this many class-balanced test images; none = all", minimum=1)

    @property
    def learns_on(self) -> LabelsConfig | None:
        """The labels that an image must have to be learnt on; None where all training images are."""
        return None

    @property
    def labels_read(self) -> LabelsConfig | None:
        return self.learns_on

    @property
    def examples(self) -> int:
        """Images that one epoch passes over."""
        data, labels = self.dataset, self.learns_on
        return data.train_images if labels is None else labels.count(data.train_images, data.classes or 0)

    def schedule(self, examples: int) -> Schedule:
        """Of a training on so many images."""
        batch = min(self.batch, examples) if self.batch_at_most_examples else self.batch
        total = self.train_steps or schedule.train_steps(examples, self.epochs, batch)
        if self.train_steps is None:
            warmup = schedule.warmup_steps(examples, self.epochs, self.warmup, batch)
        else:
            warmup = round(self.warmup * total)
        return Schedule(
            examples=examples,
            batch=batch,
            micro_batch=min(self.micro_batch or batch, batch),
            train_steps=total,
            warmup_steps=warmup,
            peak_learning_rate=schedule.peak_learning_rate(self.learning_rate, self.learning_rate_scaling, batch),
            decay=self.decay,
        )
