"""Contradictions that no single value shows: each with its place and its remedy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import get_args

from simclr_spec.core.errors import Fault
from simclr_spec.core.words import counted, number
from simclr_spec.data.registry import LOADERS
from simclr_spec.language.setting import LayerName, Setting, fault_at
from simclr_spec.language.spec import Stage
from simclr_spec.stages.common import StageConfig, TrainingConfig
from simclr_spec.stages.kinds import KINDS
from simclr_spec.stages.schedule import labelled_images

Settings = Mapping[str, Setting]

_LAYERS: tuple[LayerName, ...] = get_args(LayerName)


def contradictions(stage: Stage, config: StageConfig, settings: Settings) -> Iterator[Fault]:
    """Faults of one combination of values: `config`, and where each of them was written."""
    if found := list(_unlabelled(stage, settings) or _classes(settings)):
        yield from found
        return
    if "labels.fraction" in settings:
        found = list(_labels(settings))
        yield from found
        if found:
            return
    if isinstance(config, TrainingConfig):
        yield from _batch(stage, config, settings)
    yield from _tests(stage, settings)
    yield from _head(KINDS[stage.kind].layer_of_head, settings)
    yield from _held(settings)
    yield from _ranges(settings)


def _unlabelled(stage: Stage, settings: Settings) -> list[Fault]:
    """What cannot be done with images without classes."""
    classes, tests, name = (settings[f"dataset.{key}"] for key in ("classes", "test_images", "name"))
    if (classes.value is None) != (tests.value is None):
        lacking, word, other = (
            (classes, "classes", "test_images") if classes.value is None else (tests, "test_images", "classes")
        )
        return [fault_at(lacking, f"{word} is 'none', but {other} is not: without labels nothing can be tested")]
    if classes.value is not None:
        return []
    if not LOADERS[settings["dataset.loader"].value].needs_digest:
        others = " or ".join(loader.name for loader in LOADERS.values() if loader.needs_digest)
        return [fault_at(classes, f"{name.value} has classes: only an {others} can be without")]
    kind = KINDS[stage.kind]
    if kind.needs_classes:
        sentence = f"the images of {name.value} have no classes, so [stages.{stage.name}] has nothing to learn"
        return [fault_at(classes, f"{sentence}: a {stage.kind} needs another dataset, or sort the images into classes")]
    sentence = f"needs labels, and the images of {name.value} have no classes ({classes.origin}); leave it out, or write false"
    return [fault_at(settings[key], f"{key} {sentence}") for key in kind.needing_classes if settings[key].value]


def _classes(settings: Settings) -> Iterator[Fault]:
    classes, images = settings["dataset.classes"], settings["dataset.train_images"]
    if classes.value is not None and classes.value > images.value:
        later, other = _later(classes, images)
        sentence = f"{classes.value:,} classes are more than the {images.value:,} training images ({other.origin})"
        yield fault_at(later, f"{sentence}; every class needs an image")


def _labels(settings: Settings) -> Iterator[Fault]:
    images, classes = settings["dataset.train_images"].value, settings["dataset.classes"].value
    name, fraction, per_class = (settings[key] for key in ("dataset.name", "labels.fraction", "labels.per_class"))
    count = labelled_images(images=images, classes=classes, fraction=fraction.value, per_class=per_class.value)
    sampler, listed = settings["labels.sampler"], settings["labels.list_digest"]
    if sampler.value == "list" and not listed.value:
        sentence = (
            f"{name.value} has no published list of labels for this amount; set labels.list_digest, or sampler 'balanced'"
        )
        yield fault_at(sampler, sentence)
    elif sampler.value == "balanced" and listed.value and fraction.value != 1.0:
        yield fault_at(listed, f"labels.list_digest needs labels.sampler = 'list' ({sampler.origin} says balanced)")
    if per_class.value is not None and count > images:
        most = images // classes
        yield fault_at(
            per_class,
            f"{per_class.value} labels per class are {count:,} images; {name.value} has {images:,}, so at most {most}",
        )
    elif count < classes:
        sentence = f"label_fraction {number(fraction.value)} leaves {count} images for the {classes:,} classes of {name.value}"
        yield fault_at(fraction, f"{sentence}; use at least {number(_least(classes, images))}")


def _least(classes: int, images: int) -> float:
    """The smallest fraction of four digits that gives one image per class."""
    step = 10 ** (len(str(images)) + 1)
    return float(-(-classes * step // images) / step)


def _batch(stage: Stage, config: TrainingConfig, settings: Settings) -> Iterator[Fault]:
    batch, micro, count = settings["batch"], settings["micro_batch"], config.examples
    taken = min(batch.value, count)  # where the batch may be cut
    if batch.value > count and not settings["batch_at_most_examples"].value:
        of = "" if config.learns_on is None else " labelled"
        sentence = f"batch {batch.value:,} is more than the {count:,}{of} images of {settings['dataset.name'].value}"
        fitting, cut = f"batch = {1 << count.bit_length() - 1}", " or batch_at_most_examples = true"
        yield _of_size(stage, settings, batch, sentence, fitting, "use a smaller batch", cut)
    elif micro.value is not None and micro.value > batch.value:
        yield fault_at(micro, f"micro_batch {micro.value} is more than batch {batch.value} ({batch.origin})")
    elif micro.value is not None and micro.value < taken and taken % micro.value:
        at_most = "" if taken == batch.value else f", cut to the {taken} images that there are"
        yield fault_at(micro, f"micro_batch {micro.value} does not divide batch {taken} ({batch.origin}{at_most})")


def _tests(stage: Stage, settings: Settings) -> Iterator[Fault]:
    tests, all_tests = settings.get("test_images"), settings["dataset.test_images"]
    if tests is not None and tests.value is not None and all_tests.value is not None and tests.value > all_tests.value:
        sentence = f"test_images {tests.value:,} is more than the {all_tests.value:,} of {settings['dataset.name'].value}"
        yield _of_size(stage, settings, tests, sentence, "test_images = 'none'")


def _of_size(
    stage: Stage, settings: Settings, setting: Setting, sentence: str, fitting: str, use: str = "", cut: str = ""
) -> Fault:
    """Where a declared file's number does not fit a person's images: a fault of the person's spec, or else of the data set."""
    spec, dataset = (settings[key].document for key in ("encoder.depth", "dataset.image_size"))
    own = next((file for file in (spec, dataset) if file is not None and file.folder), None)
    if own is None or setting.document is None or setting.document.folder is not None:
        return fault_at(setting, f"{sentence}{use and f'; {use}'}{cut}")
    typed = re.sub(r"[ ']", "", fitting)
    option = f"--set {stage.name}.{typed}{cut and ','}{cut}"
    advice = f"{sentence} ({setting.origin}); write {fitting} in [stages.{stage.name}] or {option}"
    return own.fault(stage.path if own is spec else (), advice, key=True)


def _head(name: str, settings: Settings) -> Iterator[Fault]:
    """Of the parameter `name`, a layer of the head."""
    layer, layers = settings.get(name), settings.get("head.layers")
    if layer is None or layers is None or layer.value < layers.value:
        return
    if _later(layer, layers)[0] is layers:
        sentence = f"the head has {counted(layers.value, 'layer')}, but {name} is {layer.value} ({layer.origin})"
        yield fault_at(layers, f"{sentence}; use at least {layer.value + 1} layers, or another {name}")
    else:
        use = "use 0" if layers.value == 1 else f"use 0 to {layers.value - 1}"
        sentence = f"{name} {layer.value}, but the head has {counted(layers.value, 'layer')} ({layers.origin})"
        yield fault_at(layer, f"{sentence}; {use}")


def _held(settings: Settings) -> Iterator[Fault]:
    """Of weights that were trained elsewhere."""
    held, layers = settings.get("weights.head_layers"), settings.get("head.layers")
    if held and layers and held.value > layers.value:
        sentence = f"head_layers {held.value}, but the head has {counted(layers.value, 'layer')} ({layers.origin})"
        yield fault_at(held, f"{sentence}; the weights file says how many under [head]: layers = {held.value}")


def _ranges(settings: Settings) -> Iterator[Fault]:
    ranges = [name.removesuffix("_min") for name in settings if name.startswith("augment.") and name.endswith("_min")]
    for name in ranges:
        low, high = settings[f"{name}_min"], settings[f"{name}_max"]
        if low.value > high.value:
            later, other = _later(low, high)
            sentence = f"{name}_min {number(low.value)} is more than {name}_max {number(high.value)} ({other.origin})"
            yield fault_at(later, sentence)


def _later(first: Setting, second: Setting) -> tuple[Setting, Setting]:
    """The setting of the later layer, which is to blame, and the other one."""
    return (first, second) if _LAYERS.index(first.layer) >= _LAYERS.index(second.layer) else (second, first)
