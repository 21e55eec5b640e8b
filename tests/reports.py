"""Reports that the tests write and read."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from simclr_spec.plan import Plan, Step
from simclr_spec.report import terminal
from simclr_spec.report.formats.registry import WRITTEN, render
from simclr_spec.report.table import Table
from tests.finished import FEW

SMALL = f"""
title = "Small"
spec = {json.dumps(FEW)}
metric = "top1"
columns = [
  {{ title = "1 per class", where = {{ labels_per_class = 1 }} }},
  {{ title = "all", where = {{ label_fraction = 1.0 }} }},
]
rows = [
  {{ title = "supervised", where = {{ stage = "supervised", width = 1 }} }},
  {{ title = "tuned", where = {{ stage = "finetune", width = 1 }} }},
]
"""
EIGHT = (
    SMALL.partition("rows")[0]
    + """
rows = [
  { title = "supervised, small", where = { stage = "supervised", width = 1 } },
  { title = "supervised, bigger", where = { stage = "supervised", width = 2 } },
  { title = "linear, small", where = { stage = "linear", width = 1 } },
  { title = "linear, bigger", where = { stage = "linear", width = 2 } },
  { title = "fine-tuned, small", where = { stage = "finetune", width = 1 } },
  { title = "fine-tuned, bigger", where = { stage = "finetune", width = 2 } },
  { title = "self-distilled, bigger", where = { stage = "self_distill", width = 2 } },
  { title = "distilled, bigger to small", where = { stage = "distill", width = 1 } },
]
"""
)


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


OF_FILES = "released"
"""A declared report, and the spec of that name, whose networks know ImageNet's classes and no others."""


def elsewhere(name: str) -> dict[str, Any]:
    """How a declared report is made off the paper's scale."""
    return {"sets": ("test_images=500",)} if name == OF_FILES else {"scale": "digits"}


def of(plan: Plan, **where: object) -> list[Step]:
    return [step for step in plan.steps if step.matches(where)]


def everything(table: Table) -> dict[str, str]:
    on_terminal = io.StringIO()
    terminal.print_table(table, on_terminal)
    return {name: render(name, table) for name in WRITTEN} | {"terminal": on_terminal.getvalue()}
