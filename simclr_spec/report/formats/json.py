"""JSON: everything in full precision."""

from __future__ import annotations

import json

from simclr_spec.report.data import cell_data, key_of
from simclr_spec.report.table import Table


def render(table: Table) -> str:
    """Everything in full precision."""
    value = {
        "report": table.name,
        "title": table.report.title,
        "spec": list(table.report.spec),
        "scale": table.plan.scale,
        "setting": list(table.subtitle),
        "columns": [column.title for column in table.report.columns],
        "rows": [row.title for row in table.report.rows],
        "cells": [cell_data(table, cell) for cell in table.cells],
        **{key_of(note): list(note.items) for note in table.notes},
    }
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
