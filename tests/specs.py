"""Specs that the tests write."""

from __future__ import annotations

from pathlib import Path

import pytest

from simclr_spec.core.errors import SpecError
from simclr_spec.language import declared
from simclr_spec.plan import Plan, compile

HEAD = 'title = "t"\nrecipe = "simclrv2"\nscale = "digits"\nencoders = [{ depth = 18 }]\n'
CHAIN = HEAD + '[stages.pretrain]\nkind = "pretrain"\n[stages.finetune]\nkind = "finetune"\nfrom = "pretrain"\n'
STUDENT = CHAIN + 'label_fraction = 1.0\n[stages.student]\nkind = "distill"\nteacher = "finetune"\n'


def spec(folder: Path, text: str = CHAIN, name: str = "x.toml") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def plan_of(text: str, folder: Path, sets: tuple[str, ...] = (), scale: str | None = None) -> Plan:
    return compile([spec(folder, text)], sets=sets, scale=scale)


def told(text: str, folder: Path, sets: tuple[str, ...] = (), scale: str | None = None) -> list[str]:
    with pytest.raises(SpecError) as caught:
        plan_of(text, folder, sets, scale)
    return [line.replace(f"{folder}/", "") for line in str(caught.value).split("\n")]


def renamed_quickstart(folder: Path) -> str:
    """The quickstart under another title, its linear stage under another name."""
    text = declared.read("spec", "quickstart").text
    text = text.replace("Quickstart", "Other").replace("stages.linear]", "stages.probe]")
    return spec(folder, f"# mine\n{text}", "other.toml")
