"""The wheel: what it holds, and that it works in an empty folder."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("specs", "runners", "reports")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT, check=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script of an environment with the wheel, which sees this environment's packages but not the checkout."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", wheel], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    here = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "packages.pth").write_text(f"{here}\n", encoding="utf-8")
    return folder / "bin" / "simclr-spec"


def _run(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([installed, *arguments], cwd=folder, capture_output=True, text=True, check=False)


def test_the_wheel_has_exactly_the_declared_files_of_the_checkout(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        prefix = "simclr_spec/_declared/"
        shipped = {name.removeprefix(prefix): archive.read(name) for name in archive.namelist() if name.startswith(prefix)}
    here = {
        str(path.relative_to(ROOT)): path.read_bytes()
        for name in FOLDERS
        for path in (ROOT / name).rglob("*")
        if path.is_file()
    }
    assert shipped == here
    assert {name.split("/")[0] for name in shipped} == set(FOLDERS)


def test_the_wheel_has_every_module_and_no_test(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name and "/_declared/" not in name]
        assert any(name.endswith("/licenses/LICENSE") for name in archive.namelist())
    here = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "simclr_spec").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert set(names) == here


def test_the_wheel_plans_and_checks_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    where = subprocess.run(
        [installed.parent / "python", "-c", "import simclr_spec; print(simclr_spec.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(installed.parents[1]) in where.stdout, "the wheel's package, not the checkout's"
    plan = _run(installed, tmp_path, "plan", "quickstart")
    assert (plan.returncode, plan.stderr) == (0, "")
    assert "finetune" in plan.stdout
    check = _run(installed, tmp_path, "check")
    assert (check.returncode, check.stderr) == (0, "")
    assert not list(tmp_path.iterdir()), "looking leaves nothing behind"


def test_the_wheel_reports_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    done = _run(installed, tmp_path, "report", "quickstart", "-o", "out/table.md")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "out/table.md: 0 of 26 cells, 0 of 168 runs\n"
    assert "| linear, small | – | – | – | – |" in (tmp_path / "out" / "table.md").read_text(encoding="utf-8")


def test_the_wheel_runs_the_quickstart_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    """The 28 Steps of one seed, two train steps each."""
    done = _run(installed, tmp_path, "run", "quickstart", "seed=0", "--set", "train_steps=2", "--set", "test_images=20")
    assert (done.returncode, done.stderr) == (0, "")
    assert "28 done" in done.stdout
    table = _run(installed, tmp_path, "report", "quickstart")
    assert "Made from    28 of 168 runs" in table.stdout
