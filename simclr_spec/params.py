"""The parameters of every kind of Step: name, type, bounds and one line each.

This is the vocabulary shared by the language (which fills the fields from recipe, scale, spec and --set) and by the
training wing (which obeys them). There are no defaults: every value is declared in a recipe, with its source.
The JSON Schemas of recipes, scales and specs are generated from these classes; a Step's fingerprint covers every field here.
"""

# No `from __future__ import annotations`: the schemas are made from the annotations, and real ones need no evaluation.
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal, TypeGuard, get_args, get_origin


def _p(doc: str, interval: dict[str, Any] | None = None, **bounds: Any) -> Any:
    """A field with its one-line documentation and JSON Schema bounds (minimum, maximum, exclusiveMinimum, ...)."""
    return field(metadata={"doc": doc, "bounds": {**(interval or {}), **bounds}})


_positive = {"exclusiveMinimum": 0}
_share = {"minimum": 0, "maximum": 1}


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Facts of a data set, from specs/datasets/; the digest identifies its images and labels."""

    name: str = _p("name of the data-set file")
    loader: Literal["digits", "cifar10", "image_folder"] = _p("how the images are read")
    digest: str = _p("SHA-256 of the manifest: every image and label, in order; empty = not verified")
    classes: int | None = _p("number of classes; none = images without labels, which pretraining alone can use", minimum=2)
    train_images: int = _p("images in the training split", minimum=1)
    test_images: int | None = _p("images in the evaluation split; none where there are no classes", minimum=1)
    image_size: int = _p("side of the square network input, in pixels", minimum=1)

    @property
    def labelled(self) -> bool:
        """Whether its images have classes."""
        return self.classes is not None


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """A ResNet up to its final average pooling."""

    depth: Literal[18, 34, 50, 101, 152, 200] = _p("ResNet depth")
    width: int = _p("width multiplier", minimum=1)
    sk: bool = _p("selective kernels, which bring ResNet-D")
    base_width: int = _p("channels of the first group at width 1", minimum=2)
    stem: Literal["imagenet", "cifar"] = _p("7x7 (or 3x3 thrice with SK) stride 2 and max-pool, or one 3x3 stride 1")
    sk_ratio: float = _p("squeeze ratio of selective kernels", _positive, maximum=1000)
    sk_min_width: int = _p("least squeeze width of selective kernels", minimum=1)
    bn_decay: float = _p("decay of BN's moving statistics per train step", _share)
    bn_epsilon: float = _p("added to BN's variance", _positive)
    bn_variance: Literal["biased", "unbiased"] = _p("which batch variance moves the moving variance")
    max_pool: Literal["tensorflow", "torchvision"] = _p("padding of the stem's max-pool: at the end, or on both sides")
    stride: Literal["3x3", "1x1"] = _p("convolution of a bottleneck that strides")
    sk_dilation: int = _p("dilation of the second stream of selective kernels", minimum=1, maximum=8)
    shortcut_pool: Literal["all", "strided"] = _p(
        "shortcuts that ResNet-D's mean pooling precedes: all, or those with a stride"
    )
    init: Literal["tensorflow", "he"] = _p("truncated normal of variance 1/fan_in, or He's normal of variance 2/fan_out")


@dataclass(frozen=True, kw_only=True)
class Head:
    """The projection head: layers - 1 hidden layers as wide as their input, then the output layer; BN in every layer."""

    layers: int = _p("fully connected layers, the output included", minimum=1, maximum=8)
    width: int = _p("multiplier of the hidden layers' width", minimum=1)
    out_dim: int = _p("size of the output", minimum=2)
    last_beta: bool = _p("β in the last layer's BN")


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Random augmentation of training images, and the crop of evaluation images."""

    orientation: Literal["stored", "exif"] = _p("photos as their pixels are stored, or turned as their EXIF says")
    crop: Literal["tensorflow", "torchvision"] = _p("law of the random crop")
    crop_area_min: float = _p("least area of a crop, share of the image", _share)
    crop_area_max: float = _p("largest area of a crop, share of the image", _share)
    crop_aspect_min: float = _p("least aspect ratio of a crop", _positive)
    crop_aspect_max: float = _p("largest aspect ratio of a crop", _positive)
    crop_min_covered: float = _p("crops of less area than this are rejected (tensorflow's law)", _share)
    resize: Literal["tensorflow", "antialias"] = _p(
        "bicubic without antialias as the official code does, or torch's antialiased"
    )
    flip: float = _p("probability of a horizontal flip", _share)
    colour: Literal["simclrv2", "simclr", "torchvision"] = _p(
        "colour operations: clipped after each, per-channel contrast; with SimCLR's additive brightness; or torchvision's"
    )
    colour_probability: float = _p("probability of colour distortion", _share)
    colour_strength: float = _p("brightness, contrast, saturation 0.8 and hue 0.2 times this", minimum=0)
    greyscale: float = _p("probability of greyscale", _share)
    blur: float = _p("probability of Gaussian blur", _share)
    blur_sigma_min: float = _p("least sigma of the blur, in pixels", _positive)
    blur_sigma_max: float = _p("largest sigma of the blur, in pixels", _positive)
    blur_sigma: Literal["per_view", "per_sample"] = _p("one sigma per view and train step, or one per image")
    blur_kernel: float = _p("blur kernel as a share of the image side", _share)
    blur_border: Literal["zero", "reflect"] = _p("what the blur sees beyond the border: black, or the image mirrored")
    autoaugment: bool = _p("AutoAugment's ImageNet policy after crop and flip (library code)")
    test_crop: float = _p("central share of the shorter side at evaluation; 1 = the whole image", exclusiveMinimum=0, maximum=1)


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Which training images have labels. Exactly one of `fraction`, `per_class` is set; `list` pins a published list."""

    fraction: float | None = _p("share of the training images", exclusiveMinimum=0, maximum=1)
    per_class: int | None = _p("labelled images per class", minimum=1)
    sampler: Literal["balanced", "list"] = _p("class-balanced nested sampler (revision 1), or a published list of file names")
    list_digest: str = _p("SHA-256 of the list when sampler is list, else empty")
    seed: int | None = _p("seed of the sampler; null when every image is labelled or a list is used", minimum=0)


@dataclass(frozen=True, kw_only=True)
class Memory:
    """A momentum encoder and a FIFO queue of its outputs (MoCo), §3.1; the paper leaves its details open."""

    enabled: bool = _p("use the memory")
    keys: int = _p("length of the queue", minimum=1)
    decay: float = _p("decay of the momentum encoder per train step", _share)
    bn_statistics: Literal["forward", "average"] = _p(
        "momentum encoder's BN statistics: moved by its own forward pass, or averaged"
    )
    enqueue: Literal["both", "first"] = _p("views whose keys enter the queue")
    in_batch: Literal["momentum", "online"] = _p("network that makes the in-batch contrast examples")
    queries: Literal["both"] = _p("views that are compared with keys and queue")
    handed_on: Literal["momentum", "online"] = _p("network that later stages start from")


@dataclass(frozen=True, kw_only=True)
class Training:
    """What every kind of training declares."""

    seed: int = _p("seed of initial weights, order of images and augmentation", minimum=0)
    dataset: Dataset
    encoder: Encoder
    augment: Augment
    epochs: float = _p("passes over the training images", _positive, maximum=10**9)
    train_steps: int | None = _p("stop after this many train steps instead of by epochs (schedule included)", minimum=1)
    batch: int = _p("images per train step, over all devices", minimum=2)
    batch_at_most_examples: bool = _p("with fewer training examples than `batch`, use them all in every train step")
    micro_batch: int | None = _p("images per forward pass, over all devices; BN then sees only these", minimum=2)
    optimizer: Literal["lars", "sgd"] = _p("LARS in Google's form, or SGD")
    nesterov: bool = _p("Nesterov momentum")
    learning_rate: float = _p("coefficient of the peak learning rate", _positive)
    learning_rate_scaling: Literal["sqrt", "linear", "none"] = _p("peak = coefficient x sqrt(batch), x batch/256, or as it is")
    warmup: float = _p("share of the epochs (of `train_steps`, where set) with a linear warm-up from 0", _share)
    decay: Literal["cosine"] = _p("decay of the learning rate after the warm-up")
    momentum: float = _p("momentum", _share)
    weight_decay: float = _p("weight decay", minimum=0)
    trust_coefficient: float = _p("LARS's eta", _positive)
    lars_scope: Literal["kernels", "all"] = _p("what LARS adapts and decays: kernels but the classifier's, or everything")
    decay_classifier: bool = _p("weight decay reaches the classifier's kernel (and, with SGD, its bias)")
    precision: Literal["fp32", "bf16"] = _p("arithmetic of the forward pass: float32, or bfloat16 autocast")
    channels_last: bool = _p("channels_last memory format")
    compile: bool = _p("torch.compile the network")
    test_images: int | None = _p("evaluate on this many class-balanced test images; none = all", minimum=1)


@dataclass(frozen=True, kw_only=True)
class Pretrain(Training):
    """Contrastive pretraining without labels, §2 and §3.1."""

    head: Head
    memory: Memory
    loss: Literal["nt_xent"] = _p("contrastive loss, Eq. 1")
    loss_mean: Literal["images", "examples"] = _p("over N images, the losses of both views added; or over the 2N views")
    temperature: float = _p("temperature of the contrastive loss", _positive)
    linear_head: bool = _p("also train a linear classifier on stop-gradient features: an extra metric")
    linear_layer: int = _p("layer of the head that this classifier reads; 0 = the head's input", minimum=0)
    knn_neighbours: int = _p("neighbours of the cosine k-NN monitor", minimum=1)
    knn_temperature: float = _p("temperature of the k-NN monitor's votes", _positive)
    knn_every: int = _p("epochs between k-NN monitors; 0 = at the end only", minimum=0)
    revision: Literal[1] = _p("revision of this stage's arithmetic")


@dataclass(frozen=True, kw_only=True)
class Finetune(Training):
    """Fine-tuning the encoder and the lower layers of its head with labels, §2 and §3.1."""

    head: Head
    labels: Labels
    from_layer: int = _p("layer of the head on which the classifier sits; 0 = the head's input", minimum=0)
    revision: Literal[1] = _p("revision of this stage's arithmetic")


@dataclass(frozen=True, kw_only=True)
class LinearEval(Training):
    """A linear classifier on the frozen encoder's output, §3.3."""

    labels: Labels
    encoder_bn: Literal["eval", "train"] = _p("mode of the frozen encoder's BN during training")
    revision: Literal[1] = _p("revision of this stage's arithmetic")


@dataclass(frozen=True, kw_only=True)
class Supervised(Training):
    """Supervised training from scratch, Table 1 and Figure 4."""

    labels: Labels
    label_smoothing: float = _p("label smoothing", _share)
    revision: Literal[1] = _p("revision of this stage's arithmetic")


@dataclass(frozen=True, kw_only=True)
class Distill(Training):
    """A student without projection head learns a teacher's predictions on unlabelled images, Eq. 2 and Eq. 3."""

    temperature: float = _p("temperature of teacher and student", _positive)
    alpha: float = _p("Eq. 3's weight of the distillation loss; 1 = Eq. 2, no labels", _share)
    labels: Labels = field(metadata={"doc": "labels for Eq. 3; those of the teacher"})
    images: Literal["all", "labelled"] = _p("images on which the student learns: all, or the labelled ones")
    temperature_squared: bool = _p("multiply the loss by the squared temperature (the colab does, Eq. 2 does not)")
    student_init: Literal["scratch"] = _p("the student's initial weights")
    revision: Literal[1] = _p("revision of this stage's arithmetic")


KINDS: dict[str, type[Training]] = {
    "pretrain": Pretrain,
    "finetune": Finetune,
    "linear_eval": LinearEval,
    "supervised": Supervised,
    "distill": Distill,
}

_TRAINED = ("loss", "train_top1", "top1", "top5")
METRICS: dict[str, tuple[str, ...]] = {
    "pretrain": (
        *("loss", "contrast_top1", "knn_top1"),
        *("total_loss", "linear_loss", "linear_train_top1", "linear_top1", "linear_top5"),
    ),
    "finetune": _TRAINED,
    "linear_eval": _TRAINED,
    "supervised": _TRAINED,
    "distill": ("loss", "teacher_agreement", "top1", "top5"),
}
"""What the result of a Step of each kind tells. A pretraining's `loss` is the contrastive one; with `linear_head` only it has
linear_* and total_loss, the sum that is minimised; knn_top1 where its images have classes."""


def build(cls: type[Any], values: dict[str, Any]) -> Any:
    """Nested plain values (as in step.json) -> frozen parameters. Raises TypeError on a missing or unknown field."""
    hints = {f.name: f.type for f in fields(cls)}
    known = {
        name: build(hint, values[name]) if is_class(hint) else values[name] for name, hint in hints.items() if name in values
    }
    if unknown := values.keys() - known.keys():
        raise TypeError(f"{cls.__name__} has no field {min(unknown)!r}")
    return cls(**known)


def is_class(hint: Any) -> TypeGuard[type[Any]]:
    """True for the nested parameter classes."""
    return is_dataclass(hint)


def schema(cls: type[Any]) -> dict[str, Any]:
    """JSON Schema of one parameter class, nested classes included; nothing is required."""
    properties = {}
    for f in fields(cls):
        properties[f.name] = schema(f.type) if is_class(f.type) else _leaf(f.type, f.metadata)
    return {"type": "object", "description": cls.__doc__ or "", "properties": properties, "additionalProperties": False}


_JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}


def _leaf(hint: Any, metadata: Any) -> dict[str, Any]:
    if get_origin(hint) is Literal:
        return {"enum": list(get_args(hint)), "description": metadata["doc"]}
    types = [_JSON_TYPES[t] for t in (get_args(hint) or (hint,))]
    return {"type": types if len(types) > 1 else types[0], "description": metadata["doc"], **metadata["bounds"]}
