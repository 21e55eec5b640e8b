"""Each stage's train step against a plain account of it, in double precision; what it keeps fixed and what it hands on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from simclr_spec.core.errors import WeightsError
from simclr_spec.stages.kinds import KINDS
from simclr_spec.store.layout import RunFolder, Store
from simclr_spec.train.checkpoint import read_weights
from simclr_spec.train.loop.trainer import train_step
from simclr_spec.train.model.encoder import Encoder
from simclr_spec.train.model.norm import GlobalBatchNorm
from simclr_spec.train.optim import optimizer
from simclr_spec.train.stage import Batch
from simclr_spec.train.stages.distill import Distill
from simclr_spec.train.stages.finetune import Finetune
from simclr_spec.train.stages.linear_eval import LinearEval
from simclr_spec.train.stages.pretrain import Pretrain
from simclr_spec.train.stages.supervised import Supervised
from tests.steps import disturb, finished, step
from tests.train.test_slow_training import soft_targets

RATES = [0.1, 0.3, 0.2]


def config(kind: str, **overrides: Any) -> Any:
    return KINDS[kind].build(step(kind, **overrides))


def batch(n: int, seed: int, labels: Tensor | None = None) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(0, 10, (n,), generator=generator)
    return Batch((torch.rand(n, 3, 8, 8, generator=generator, dtype=torch.float64),), drawn if labels is None else labels)


@pytest.fixture
def pretrained(tmp_path: Path) -> RunFolder:
    """A pretrained encoder and head, as if: random weights and statistics."""
    torch.manual_seed(5)
    stage = Pretrain(config("pretrain"), {})
    disturb(stage)
    return finished(Store(tmp_path), "pretrain", stage.exported_weights())


@pytest.fixture
def finetuned(pretrained: RunFolder, tmp_path: Path) -> RunFolder:
    stage = Finetune(config("finetune", from_layer=1), {"from": pretrained})
    nn.init.normal_(stage.classifier.weight)
    return finished(Store(tmp_path), "finetune", stage.exported_weights(), {"from": pretrained}, from_layer=1)


def slow_sgd(
    network: nn.Module, velocity: dict[str, Tensor], loss: Tensor, weights: dict[str, Tensor], rate: float, decay: float
) -> dict[str, Tensor]:
    """Nesterov momentum 0.9 with the rate inside the buffer; L2 on all but BN -> the new weights."""
    norms = {name for name, module in network.named_modules() if isinstance(module, GlobalBatchNorm)}
    updated = {}
    for (name, w), gradient in zip(weights.items(), torch.autograd.grad(loss, list(weights.values())), strict=True):
        g = gradient if name.rpartition(".")[0] in norms else gradient + decay * w
        velocity[name] = 0.9 * velocity.get(name, torch.zeros_like(w)) + rate * g
        updated[name] = (w - 0.9 * velocity[name] - rate * g).detach().requires_grad_()
    return updated


def smoothed_cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """(1 - s) on the label and s / classes on every class."""
    losses = []
    for row, label in zip(logits, labels.tolist(), strict=True):
        log_p = row - torch.logsumexp(row, 0)
        losses.append(-(1 - smoothing) * log_p[label] - smoothing * log_p.mean())
    return torch.stack(losses).mean()


def trainable(stage: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone().requires_grad_() for name, p in stage.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_supervised_training_by_sgd(smoothing: float) -> None:
    torch.manual_seed(0)
    stage = Supervised(config("supervised", label_smoothing=smoothing, weight_decay=1e-2), {}).double()
    weights, velocity = trainable(stage), dict[str, Tensor]()
    buffers = {name: b.clone() for name, b in stage.named_buffers()}
    optimiser = optimizer(stage, stage.config)
    for t, rate in enumerate(RATES):
        shown = batch(9, t)
        logits = functional_call(stage, weights | buffers, shown.views)
        loss = smoothed_cross_entropy(logits, shown.labels, smoothing)
        measured = train_step(stage, optimiser, shown, rate, len(shown))
        assert float(measured[0]) == pytest.approx(loss.item(), rel=1e-9)
        assert float(measured[1]) == pytest.approx(100 * sum(logits.argmax(1) == shown.labels).item() / 9)
        weights = slow_sgd(stage, velocity, loss, weights, rate, 1e-2)
        for name, p in stage.named_parameters():
            torch.testing.assert_close(p.detach(), weights[name].detach(), rtol=1e-8, atol=1e-10)


def test_linear_evaluation_learns_the_classifier_alone(pretrained: RunFolder) -> None:
    stage = LinearEval(config("linear_eval", weight_decay=1e-3), {"from": pretrained}).double()
    before = {name: tensor.clone() for name, tensor in stage.state_dict().items()}
    optimiser = optimizer(stage, stage.config)
    assert set(optimiser.state_tensors()) == {"classifier.weight", "classifier.bias"}
    stage.encoder.eval()
    w: dict[str, Tensor] = {
        "weight": torch.zeros(10, stage.encoder.features, dtype=torch.float64, requires_grad=True),
        "bias": torch.zeros(10, dtype=torch.float64, requires_grad=True),
    }
    velocity: dict[str, Tensor] = {}
    for t, rate in enumerate(RATES):
        shown = batch(9, t)
        with torch.no_grad():
            features = stage.encoder(shown.views[0])
        loss = smoothed_cross_entropy(features @ w["weight"].T + w["bias"], shown.labels, 0)
        measured = train_step(stage, optimiser, shown, rate, len(shown))
        assert float(measured[0]) == pytest.approx(loss.item(), rel=1e-9)
        w = slow_sgd(stage.classifier, velocity, loss, w, rate, 1e-3)
    torch.testing.assert_close(stage.classifier.weight, w["weight"], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(stage.classifier.bias, w["bias"], rtol=1e-9, atol=1e-12)
    after = stage.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before if name.startswith("encoder."))
    assert set(stage.exported_weights()) == {"classifier.weight", "classifier.bias"}
    assert set(stage.state()) == {"classifier.weight", "classifier.bias"}


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_linear_evaluation_reads_a_layer_of_the_frozen_head(pretrained: RunFolder, layer: int) -> None:
    """By hand from the file of weights: dense, BN by its moving statistics and ReLU, as often as there are layers below."""
    stage = LinearEval(config("linear_eval", from_layer=layer), {"from": pretrained}).double()
    nn.init.normal_(stage.classifier.weight)
    nn.init.normal_(stage.classifier.bias)
    images = batch(9, 0).views[0]
    features = stage.encoder(images)
    weights = {name: tensor.double() for name, tensor in read_weights(pretrained).items()}
    for number in range(layer):
        dense, gamma, beta, mean, variance = (
            weights[f"head.layers.{number}.{name}"]
            for name in ("dense.weight", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var")
        )
        normal = (features @ dense.T - mean) / (variance + stage.config.encoder.bn_epsilon).sqrt()
        features = (normal * gamma + beta).clamp(min=0)
    logits = features @ stage.classifier.weight.T + stage.classifier.bias
    torch.testing.assert_close(stage(images), logits, rtol=1e-10, atol=1e-12)
    tuned = Finetune(config("finetune", from_layer=layer), {"from": pretrained}).double().eval()
    tuned.classifier.load_state_dict(stage.classifier.state_dict())
    torch.testing.assert_close(stage(images), tuned(images), rtol=1e-12, atol=1e-12)


def test_linear_evaluation_on_the_head_learns_and_hands_on_the_classifier_alone(pretrained: RunFolder) -> None:
    stage = LinearEval(config("linear_eval", from_layer=2), {"from": pretrained}).double()
    before = {name: tensor.clone() for name, tensor in stage.state_dict().items()}
    assert {name.split(".")[2] for name in before if name.startswith("head.")} == {"0", "1"}
    measured = train_step(stage, optimizer(stage, stage.config), batch(9, 0), 0.1, micro_batch=9)
    assert float(measured[0]) > 0
    changed = {name for name, tensor in stage.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == set(stage.state()) == set(stage.exported_weights()) == {"classifier.weight", "classifier.bias"}


def test_linear_evaluation_may_move_bn_statistics(pretrained: RunFolder) -> None:
    stage = LinearEval(config("linear_eval", encoder_bn="train", from_layer=1), {"from": pretrained}).double()
    before = {name: tensor.clone() for name, tensor in stage.state_dict().items()}
    train_step(stage, optimizer(stage, stage.config), batch(9, 0), 0.1, micro_batch=9)
    moved = {
        name
        for name, tensor in stage.state_dict().items()
        if not name.startswith("classifier") and not torch.equal(tensor, before[name])
    }
    assert moved == {name for name in before if "running" in name}
    assert {name.partition(".")[0] for name in moved} == {"encoder", "head"}
    assert moved <= set(stage.state())
    assert moved <= set(stage.exported_weights())


@pytest.mark.parametrize(("alpha", "temperature", "squared"), [(1.0, 1.0, False), (1.0, 0.5, True), (0.3, 2.0, False)])
def test_the_student_learns_the_teachers_predictions(
    finetuned: RunFolder, alpha: float, temperature: float, squared: bool
) -> None:
    c = config("distill", alpha=alpha, temperature=temperature, temperature_squared=squared, encoder__base_width=4)
    torch.manual_seed(1)
    stage = Distill(c, {"teacher": finetuned}).double().train()
    teacher = {name: tensor.clone() for name, tensor in stage.teacher.state_dict().items()}
    optimiser = optimizer(stage, c)
    buffers = {name: b.clone() for name, b in stage.named_buffers()}
    for t, rate in enumerate(RATES):
        shown = batch(8, t, torch.tensor([1, -1, 3, -1, -1, 9, -1, 0]))
        with torch.no_grad():
            student_logits = functional_call(stage, trainable(stage) | buffers, shown.views)
            teacher_logits = stage.teacher(shown.views[0])
        expected = soft_targets(student_logits, teacher_logits, shown.labels, c).item()
        measured = train_step(stage, optimiser, shown, rate, len(shown))
        assert float(measured[0]) == pytest.approx(expected, rel=1e-9)
        agreed = (student_logits.argmax(1) == teacher_logits.argmax(1)).sum().item()
        assert float(measured[1]) == pytest.approx(100 * agreed / 8)
    assert all(torch.equal(tensor, teacher[name]) for name, tensor in stage.teacher.state_dict().items())
    assert not any(name.startswith("teacher") for name in stage.state())
    assert {name.partition(".")[0] for name in stage.exported_weights()} == {"encoder", "classifier"}


def test_a_teacher_is_the_finetuned_network_with_its_head(finetuned: RunFolder, pretrained: RunFolder) -> None:
    tuned = Finetune(config("finetune", from_layer=1), {"from": pretrained})
    weights = {
        name: tensor for name, tensor in tuned.state_dict().items() if not name.startswith(("head.layers.1", "head.layers.2"))
    }
    written = read_weights(finetuned)
    assert set(written) == set(weights)
    for name, tensor in written.items():
        tuned.state_dict()[name].copy_(tensor)
    x = batch(5, 0).views[0].float()
    torch.testing.assert_close(Distill(config("distill"), {"teacher": finetuned}).teacher(x), tuned.eval()(x))


def test_a_distilled_network_can_teach(finetuned: RunFolder, tmp_path: Path) -> None:
    first = Distill(config("distill"), {"teacher": finetuned})
    parent = finished(Store(tmp_path), "distill", first.exported_weights(), {"teacher": finetuned})
    second = Distill(config("distill", seed=1), {"teacher": parent})
    x = batch(5, 0).views[0].float()
    torch.testing.assert_close(second.teacher(x), first.eval()(x))


@pytest.mark.parametrize(("from_layer", "kept"), [(0, set()), (1, {"0"}), (2, {"0", "1"})])
def test_fine_tuning_hands_on_the_kept_head_layers(pretrained: RunFolder, from_layer: int, kept: set[str]) -> None:
    stage = Finetune(config("finetune", from_layer=from_layer), {"from": pretrained})
    handed = stage.exported_weights()
    assert {name.split(".")[2] for name in handed if name.startswith("head.")} == kept
    assert not stage.classifier.weight.any()
    assert {name.partition(".")[0] for name in handed} == {"encoder", "classifier"} | ({"head"} if kept else set())


def test_layers_above_the_classifier_change_no_result(pretrained: RunFolder) -> None:
    """Under SGD the official code decays their weights to and fro; here they stay, and it makes no difference."""
    ours, decayed = (Finetune(config("finetune", optimizer="sgd"), {"from": pretrained}).double() for _ in range(2))
    above = [layer.get_parameter("dense.weight") for layer in decayed.head.layers[1:]]
    steps = [optimizer(stage, stage.config) for stage in (ours, decayed)]
    for t, rate in enumerate(RATES):
        one, two = (
            train_step(stage, step, batch(9, t), rate, micro_batch=9)
            for stage, step in zip((ours, decayed), steps, strict=True)
        )
        assert torch.equal(one, two)
        for weight in above:
            weight.data *= 1 - 0.1 * rate
    assert all(torch.equal(tensor, decayed.exported_weights()[name]) for name, tensor in ours.exported_weights().items())
    moved = (stage.head.layers[1].get_buffer("norm.running_var") for stage in (ours, decayed))
    assert not torch.equal(*moved)


def without_upper_layers(pretrained: RunFolder, kept: int) -> RunFolder:
    """As weights that were trained elsewhere may be."""
    above = tuple(f"head.layers.{layer}." for layer in range(kept, 3))
    tensors = {name: tensor for name, tensor in read_weights(pretrained).items() if not name.startswith(above)}
    return finished(pretrained.store, "pretrain", tensors, seed=kept + 1)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_the_layers_above_may_be_nowhere(layer: int, pretrained: RunFolder) -> None:
    """They run for nothing in fine-tuning, and not at all in linear evaluation: what is learnt is the same."""
    without = without_upper_layers(pretrained, layer)
    for stage_class, kind in ((Finetune, "finetune"), (LinearEval, "linear_eval")):
        handed_on = []
        for parent in (pretrained, without):
            torch.manual_seed(0)
            stage = stage_class(config(kind, from_layer=layer), {"from": parent}).double()
            optimiser = optimizer(stage, stage.config)
            for t, rate in enumerate(RATES):
                train_step(stage, optimiser, batch(9, t), rate, 9)
            handed_on.append(stage.exported_weights())
        assert handed_on[0].keys() == handed_on[1].keys()
        assert all(torch.equal(handed_on[0][name], handed_on[1][name]) for name in handed_on[0])
        with pytest.raises(WeightsError, match=rf"has no tensor head\.layers\.{layer}\.dense\.weight"):
            stage_class(config(kind, from_layer=layer + 1), {"from": without})


def test_fine_tuning_from_layer_1_is_an_encoder_with_one_fully_connected_layer_more(pretrained: RunFolder) -> None:
    """The paper's remark on a head of which one layer is kept: in inference and in training, to the gradients."""
    stage = Finetune(config("finetune", from_layer=1), {"from": pretrained})
    nn.init.normal_(stage.classifier.weight)
    stage = stage.double()
    width = stage.encoder.features
    longer = nn.Sequential(
        Encoder(stage.config.encoder),
        nn.Linear(width, width, bias=False),
        nn.BatchNorm1d(width, eps=stage.config.encoder.bn_epsilon),
        nn.ReLU(),
        nn.Linear(width, 10),
    ).double()
    weights = {name: tensor.double() for name, tensor in read_weights(pretrained).items()}
    parts = {"encoder.": "0.", "head.layers.0.dense.": "1.", "head.layers.0.norm.": "2."}
    renamed = {
        new + name.removeprefix(old): t for name, t in weights.items() for old, new in parts.items() if name.startswith(old)
    }
    renamed |= {f"4.{name}": tensor for name, tensor in stage.classifier.state_dict().items()}
    assert set(longer.state_dict()) - set(renamed) == {"2.num_batches_tracked"}
    longer.load_state_dict(renamed, strict=False)
    shown = batch(9, 0)
    with torch.no_grad():
        torch.testing.assert_close(stage.eval()(shown.views[0]), longer.eval()(shown.views[0]), rtol=1e-9, atol=1e-9)
    logits, other = stage.train()(shown.views[0]), longer.train()(shown.views[0])
    torch.testing.assert_close(logits, other, rtol=1e-9, atol=1e-9)
    for found in (logits, other):
        nn.functional.cross_entropy(found, shown.labels).backward()  # type: ignore[no-untyped-call]
    ours = [p.grad for p in stage.parameters() if p.grad is not None]
    theirs = [p.grad for p in longer.parameters() if p.grad is not None]
    assert len(ours) == len(theirs) == len(list(longer.parameters()))
    for one, two in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-7, atol=1e-10)


def test_the_classifier_sits_on_a_wide_head_layer(tmp_path: Path) -> None:
    source = Pretrain(config("pretrain", head={"layers": 3, "width": 2, "out_dim": 16, "last_beta": False}), {})
    parent = finished(
        Store(tmp_path),
        "pretrain",
        source.exported_weights(),
        head={"layers": 3, "width": 2, "out_dim": 16, "last_beta": False},
    )
    stage = Finetune(config("finetune", head={"layers": 3, "width": 2, "out_dim": 16, "last_beta": False}), {"from": parent})
    assert stage.classifier.in_features == 2 * stage.encoder.features
    assert stage(batch(3, 0).views[0].float()).shape == (3, 10)


def test_weights_of_another_network_are_refused(pretrained: RunFolder) -> None:
    with pytest.raises(
        WeightsError, match=r"encoder\.stem\.0\.conv\.weight is \[2, 3, 3, 3\] in .*, but this Step's network needs \[4,"
    ):
        LinearEval(config("linear_eval", encoder__base_width=4), {"from": pretrained})


def test_a_teacher_of_other_classes_is_refused(finetuned: RunFolder) -> None:
    with pytest.raises(WeightsError, match="knows 10 classes, this data set has 7"):
        Distill(config("distill", dataset__classes=7), {"teacher": finetuned})


def test_micro_batches_average_their_gradients() -> None:
    """Frozen statistics aside, the step is the mean of the parts' steps, weighted by their sizes."""
    torch.manual_seed(0)
    stage = Supervised(config("supervised", momentum=0.0, weight_decay=0.0, nesterov=False), {}).double()
    before, shown = trainable(stage), batch(8, 0)
    buffers = {name: b.clone() for name, b in stage.named_buffers()}
    losses = [
        smoothed_cross_entropy(functional_call(stage, before | buffers, part.views), part.labels, 0) for part in shown.split(3)
    ]
    sizes = [3, 3, 2]
    assert [len(part) for part in shown.split(3)] == sizes
    loss = sum((weight * part for weight, part in zip(sizes, losses, strict=True)), torch.zeros(())) / 8
    measured = train_step(stage, optimizer(stage, stage.config), shown, 0.1, micro_batch=3)
    assert float(measured[0]) == pytest.approx(loss.item(), rel=1e-9)
    for (name, p), g in zip(stage.named_parameters(), torch.autograd.grad(loss, list(before.values())), strict=True):
        torch.testing.assert_close(p.detach(), (before[name] - 0.1 * g).detach(), rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("kind", ["lars", "sgd"])
def test_channels_last_changes_no_more_than_the_order_of_sums(kind: str) -> None:
    trained = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        stage = Supervised(config("supervised", optimizer=kind), {}).double().to(memory_format=memory_format)
        optimiser = optimizer(stage, stage.config)
        for t, rate in enumerate(RATES):
            shown = batch(9, t)
            view = shown.views[0].contiguous(memory_format=memory_format)
            train_step(stage, optimiser, Batch((view,), shown.labels), rate, micro_batch=9)
        trained.append(stage.state_dict() | optimiser.state_tensors())
    for name, tensor in trained[0].items():
        torch.testing.assert_close(trained[1][name], tensor, rtol=1e-7, atol=1e-9)
