"""`simclr-spec pin`: the digest goes into the file, and nothing else of it changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from simclr_spec.cli.main import main
from simclr_spec.data.loaders.image_folder import LOADER
from simclr_spec.language.declared import File
from simclr_spec.language.document import parse
from simclr_spec.store.pin import with_digest
from tests import tiny

DIGEST = "12" * 32
LINE = f'digest = {{ value = "{DIGEST}", source = "simclr-spec pin", status = "assumed" }}'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (tiny.DATASET, tiny.DATASET.replace('digest = { value = ""', f'digest = {{ value = "{DIGEST}"')),
        ('digest = ""  # later\nname = "x"\n', f'digest = "{DIGEST}"  # later\nname = "x"\n'),
        ("[digest]\r\nvalue = ''\r\nsource = 'é'\r\n", f"[digest]\r\nvalue = \"{DIGEST}\"\r\nsource = 'é'\r\n"),
        ("\ufeffdigest.value = '''old'''\r\n", f'\ufeffdigest.value = "{DIGEST}"\r\n'),
        ('# digest = ""\nname = "x"', f'# digest = ""\nname = "x"\n{LINE}\n'),
        ('#:schema x\r\n[name]\r\nvalue = "x"\r\n', f'#:schema x\r\n{LINE}\r\n[name]\r\nvalue = "x"\r\n'),
        ('name = "digest"\n[[label_lists]]\nfraction = 0.1\n', f'{LINE}\nname = "digest"\n[[label_lists]]\nfraction = 0.1\n'),
    ],
)
def test_toml(before: str, after: str) -> None:
    assert with_digest(before.encode(), DIGEST, is_json=False).decode() == after
    assert with_digest(after.encode(), DIGEST, is_json=False).decode() == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            '{"name": "x",\n "digest": {"value": "", "source": "{"}}',
            f'{{"name": "x",\n "digest": {{"value": "{DIGEST}", "source": "{{"}}}}',
        ),
        ('{\n "digest" : "old"\n}\n', f'{{\n "digest" : "{DIGEST}"\n}}\n'),
    ],
)
def test_json(before: str, after: str) -> None:
    assert with_digest(before.encode(), DIGEST, is_json=True).decode() == after


def test_json_without_one() -> None:
    text = with_digest(b'{"name": {"value": "x"}}', DIGEST, is_json=True).decode()
    found = parse(File("", "x.json", text)).data
    assert (found["digest"]["value"], found["name"]) == (DIGEST, {"value": "x"})


def test_a_declared_data_set_is_pinned_by_set_and_departs_from_nothing(tmp_path: Path) -> None:
    tiny.images(tmp_path / "imagenet")
    run = CliRunner().invoke
    told = run(main, ["pin", "imagenet", "--data-root", str(tmp_path), "--store", str(tmp_path / "runs")]).output
    option = f"dataset.digest={LOADER.today(tmp_path / 'imagenet')}"
    assert told == f"{tmp_path}/imagenet: name the images of imagenet with --set {option}\n"
    assert not (tmp_path / "runs").exists()
    plans = [run(main, ["plan", "table1", *more]).output for more in ([], ["--set", option])]
    assert [", 0 deviations" in plan for plan in plans] == [True, True]
    assert " assumptions, 1 deviation" in run(main, ["plan", "table1", "--scale", "paper", "--set", "precision=bf16"]).output


def test_what_cannot_be_pinned_is_told(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["pin", "digits"])
    assert (done.exit_code, done.output) == (2, "nothing to pin: the loader digits reads known files only\n")
    done = CliRunner().invoke(main, ["pin", "imagenet", "--data-root", str(tmp_path)])
    assert done.exit_code == 1
    assert f"not found (looked in {tmp_path}/imagenet, {tmp_path})" in done.output


def test_the_files_permissions_stay(tmp_path: Path) -> None:
    tiny.project(tmp_path)
    file = tmp_path / "tinyset.toml"
    file.chmod(0o600)
    where = ["--data-root", f"tinyset={tmp_path}/pictures", "--store", str(tmp_path / "runs")]
    for told in ("its Steps are new ones now", "says so already"):
        done = CliRunner().invoke(main, ["pin", str(file), *where])
        assert told in done.output
        assert LOADER.today(tmp_path / "pictures") in done.output
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text() == tiny.DATASET.replace('""', f'"{LOADER.today(tmp_path / "pictures")}"')
