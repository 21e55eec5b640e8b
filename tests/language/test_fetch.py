"""Published label lists: fetched from the declared address, believed only by their SHA-256, and resolved from the data set."""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Sequence
from pathlib import Path
from threading import Thread

import pytest

from simclr_spec.core.errors import DataError, SpecError
from simclr_spec.data import roots as data_roots
from simclr_spec.language import declared
from simclr_spec.language.dataset import read_dataset
from simclr_spec.language.fetch import fetch, fetch_lists
from simclr_spec.plan import Step, compile
from simclr_spec.plan.departures import deviations
from simclr_spec.store import first_look
from tests.folders import pets

ONE_PERCENT = "71e82a48ba78252683ae334c4d019ebd5c6e855b9599c1389fbe83eb9549cf17"
TEN_PERCENT = "6d09de11e7bdaf5b1f3b1f249b6183695f97310cdd20f0c03e7235b6b9392091"


def test_a_list_is_written_when_its_digest_is_the_declared_one(tmp_path: Path) -> None:
    source = tmp_path / "half.txt"
    source.write_bytes(b"a_1.JPEG\n")
    digest = hashlib.sha256(b"a_1.JPEG\n").hexdigest()
    path = fetch(source.as_uri(), digest, tmp_path / "root" / "imagenet_subsets")
    assert path.read_bytes() == b"a_1.JPEG\n"
    assert data_roots.label_list(digest, [str(tmp_path / "root")]) == path


def test_other_bytes_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    source = tmp_path / "half.txt"
    source.write_bytes(b"another\n")
    with pytest.raises(
        DataError, match=r"half.txt is not the published list: its SHA-256 is \w{64}, declared is 0{64}; nothing"
    ):
        fetch(source.as_uri(), "0" * 64, tmp_path / "root")
    with pytest.raises(DataError, match=r"cannot fetch .*lacks.txt"):
        fetch((tmp_path / "lacks.txt").as_uri(), "0" * 64, tmp_path / "root")
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"HELO\r\n\r\n", "HELO"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "IncompleteRead(0 bytes read)"),
    ],
)
def test_an_answer_that_is_none_is_told(answer: bytes, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")

    def serve() -> None:
        with server.accept()[0] as caller:
            caller.recv(10_000)
            caller.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/half.txt"
        thread = Thread(target=serve)
        thread.start()
        with pytest.raises(DataError) as caught:
            fetch(url, "0" * 64, tmp_path)
        thread.join()
    assert str(caught.value) == f"cannot fetch {url}: {told}"


def test_an_address_with_a_space_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot fetch http://a/ b: URL can't contain control characters"):
        fetch("http://a/ b", "0" * 64, tmp_path)


def test_lists_that_are_there_are_not_fetched(shared: Path) -> None:
    lines = list(fetch_lists([str(shared / "data")]))
    assert [line.rpartition("/")[2] for line in lines] == ["1percent.txt: already here", "10percent.txt: already here"]


def test_a_run_asks_for_its_lists_before_it_starts(tmp_path: Path) -> None:
    pets(tmp_path)
    (tmp_path / "imagenet_subsets").mkdir()
    sizes = ["dataset.classes=3", "dataset.train_images=1000", "dataset.test_images=6", "batch=4"]
    steps = [step for step in compile(["table1"], sets=sizes).steps if step.coordinates.get("label_fraction") == 0.01]

    def told(steps: Sequence[Step]) -> str:
        with pytest.raises(DataError) as caught:
            first_look.look_ahead(steps, [str(tmp_path)])
        return str(caught.value)

    missing = r"label list of SHA-256 71e82a48ba78… not found \(looked for \*.txt in .*`simclr-spec fetch-lists`"
    assert re.search(missing, told(steps))
    (tmp_path / "imagenet_subsets" / "1percent.txt").write_text("n01440764_1.JPEG\n")
    assert "not found among 1percent.txt" in told(steps)
    drawn = compile(["table1"], sets=[*sizes, "labels.sampler=balanced"]).steps
    assert "label list" not in told(drawn)


def test_imagenets_fractions_are_the_published_lists() -> None:
    found = {}
    for step in compile(["table1"]).steps:
        if labels := step.params.get("labels"):
            found[labels["fraction"]] = (labels["sampler"], labels["list_digest"], labels["seed"])
            assert step.origins["labels.sampler"].status in ("code", "author")
    assert found == {0.01: ("list", ONE_PERCENT, None), 0.1: ("list", TEN_PERCENT, None), 1.0: ("balanced", "", None)}


def test_two_lists_of_one_fraction_are_a_fault(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(declared.read("dataset", "imagenet").text.replace("fraction = 0.1,", "fraction = 1e-2,"))
    with pytest.raises(SpecError) as caught:
        read_dataset(str(file), None)
    assert str(caught.value) == f"{file}:13:16: fraction 0.01 has a list already, in line 12; keep one"


def test_elsewhere_labels_are_drawn() -> None:
    for step in compile(["table1"], scale="cifar10").steps:
        if labels := step.params.get("labels"):
            assert (labels["sampler"], labels["list_digest"]) == ("balanced", "")


def test_drawing_labels_on_imagenet_is_a_deviation() -> None:
    steps = compile(["table1"], sets=["labels.sampler='balanced'"]).steps
    drawn = [step for step in steps if step.coordinates.get("label_fraction") == 0.01]
    assert {(s.params["labels"]["sampler"], s.params["labels"]["list_digest"], s.params["labels"]["seed"]) for s in drawn} == {
        ("balanced", "", 0)
    }
    assert [departure.name for departure in deviations(steps)] == ["labels.sampler"]


def test_an_own_list_takes_the_place_of_the_published_one() -> None:
    steps = compile(["table1"], sets=[f"finetune.labels.list_digest='{'1' * 64}'"]).select(None)
    listed = {s.params["labels"]["list_digest"] for s in steps if s.kind == "finetune" and s.params["labels"]["fraction"] < 1}
    assert listed == {"1" * 64}


@pytest.mark.parametrize(
    ("sets", "sentence"),
    [
        (["labels.sampler='list'"], "has no published list of labels for this amount"),
        ([f"labels.list_digest='{'1' * 64}'"], r"labels.list_digest needs labels.sampler = 'list' \(.*simclrv2.toml:\d+ says"),
    ],
)
def test_lists_without_digest_and_digests_without_list_are_faults(sets: list[str], sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        compile(["quickstart"], sets=sets)
