"""Exported files: whole without their store, the same numbers in every format, and nobody else's file is lost."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch

import simclr_spec
from simclr_spec.core.errors import UsageError, WeightsError
from simclr_spec.stages.kinds import KINDS
from simclr_spec.store.layout import Store
from simclr_spec.train.handing_on import export as exporting
from simclr_spec.train.handing_on.export import MODEL, export
from simclr_spec.train.model.network import Network
from simclr_spec.train.stages.supervised import Supervised
from tests.steps import disturb, finished, step
from tests.trained import STEPS, Trained


@pytest.mark.parametrize("name", STEPS)
def test_an_exported_network_is_whole(trained: Trained, tmp_path: Path, name: str) -> None:
    """Nothing of the store is left when it is loaded."""
    store = Store(tmp_path / "runs")
    shutil.copytree(trained.store.path, store.path)
    folder = store.folder(str(trained.folders[name].path.relative_to(trained.store.path)))
    network = simclr_spec.load(folder.path)
    assert export(network, tmp_path / "out", "safetensors") == [tmp_path / "out" / MODEL]
    shutil.rmtree(store.path)
    found = simclr_spec.load(tmp_path / "out" / MODEL)
    assert found.about == network.about
    x = torch.rand(7, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(found(x), network(x))
        assert torch.equal(found.features(x, found.layers), network.features(x, network.layers))
    assert {name.partition(".")[0] for name in found.state_dict()} == {
        "encoder",
        *(["head"] if network.layers else []),
        *(["classifier"] if network.class_count else []),
    }


@pytest.mark.parametrize("name", ["pretrain", "finetune"])
def test_every_format_gives_the_same(trained: Trained, tmp_path: Path, name: str) -> None:
    network, place = simclr_spec.load(trained.folders[name].path), tmp_path / "out"
    assert [file.name for file in export(network, place, "torchscript")] == ["model.pt", MODEL]
    assert [file.name for file in export(network, place, "onnx")] == ["model.onnx", MODEL]
    assert sorted(file.name for file in place.iterdir()) == ["model.onnx", "model.pt", MODEL]
    extra: dict[str, Any] = {"simclr_spec": ""}
    script: Any = torch.jit.load(place / "model.pt", _extra_files=extra)  # type: ignore[no-untyped-call]
    session = onnxruntime.InferenceSession(place / "model.onnx")
    told = session.get_modelmeta().custom_metadata_map["simclr_spec"]
    assert network.about.metadata() == {"simclr_spec": told} == {"simclr_spec": extra["simclr_spec"].decode()}
    for count in (1, 2, 5):
        x = torch.rand(count, 3, 8, 8)
        with torch.no_grad():
            expected, scripted = network(x), script(x)
        for found in (scripted, torch.from_numpy(session.run(None, {"images": x.numpy()})[0])):
            assert (found - expected).abs().max() <= max(1e-4, 5e-6 * float(expected.abs().max()))
    for file in place.iterdir():
        assert str(Path(simclr_spec.__file__).parent).encode() not in file.read_bytes(), "whose files they are"


def test_selective_kernels_on_odd_sizes_can_be_said_in_onnx(tmp_path: Path) -> None:
    over: dict[str, Any] = {"encoder__depth": 50, "encoder__sk": True, "encoder__stem": "imagenet", "dataset__image_size": 35}
    torch.manual_seed(0)
    stage = Supervised(KINDS["supervised"].build(step("supervised", **over)), {})
    disturb(stage)
    folder = finished(Store(tmp_path), "supervised", stage.exported_weights(), **over)
    assert (tmp_path / "out" / "model.onnx") in export(Network.of_folder(folder).eval(), tmp_path / "out", "onnx")


def test_what_gives_other_numbers_is_not_written(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = simclr_spec.load(trained.folders["finetune"].path)
    plain = exporting._onnx

    def wrong(network: Network, folder: Path) -> exporting.Run:
        run = plain(network, folder)
        return lambda x: run(x) + 2e-4

    monkeypatch.setitem(exporting._WRITERS, "onnx", wrong)
    with pytest.raises(WeightsError, match=r"^onnx gives other numbers .* by up to 0\.0002, where 0\.0001 is allowed: nothing"):
        export(network, tmp_path / "out", "onnx")
    assert list((tmp_path / "out").iterdir()) == []


def test_without_the_packages_a_sentence_says_how_to_get_them(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(UsageError, match=r"^ONNX needs onnxscript: pip install 'simclr-spec\[onnx\]'$"):
        export(simclr_spec.load(trained.folders["finetune"].path), tmp_path / "out", "onnx")


def test_what_is_somebody_elses_stays(trained: Trained, tmp_path: Path) -> None:
    finetuned, other = (simclr_spec.load(trained.folders[name].path) for name in ("finetune", "supervised"))
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(UsageError, match=r"README\.md is there already, and no model beside it: name another folder with -o$"):
        export(finetuned, tmp_path, "safetensors")
    export(finetuned, tmp_path / "out", "safetensors")
    export(finetuned, tmp_path / "out", "safetensors")
    with pytest.raises(UsageError, match=r"model\.safetensors is another network: name another folder with -o$"):
        export(other, tmp_path / "out", "safetensors")
    (tmp_path / "out" / MODEL).write_bytes(b"mine")
    with pytest.raises(UsageError, match="is another network"):
        export(finetuned, tmp_path / "out", "safetensors")
