"""A value with its origin: which layer says it, in which file and line, with which source and status."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from simclr_spec.core.errors import Fault
from simclr_spec.core.fields import Schema
from simclr_spec.language.document import Document, Path
from simclr_spec.language.written import ASSUMED

LayerName = Literal["fixed", "dataset", "recipe", "weights", "scale", "spec", "axis", "--set"]
"""From the first that speaks to the last."""


@dataclass(frozen=True, eq=False)
class Setting:
    """One resolved value and where it comes from."""

    value: Any
    layer: LayerName
    document: Document | None = None
    path: Path = ()
    source: str = ""
    status: str = ""
    rule: str = ""
    """the rule's `when`, as a person would type it"""
    text: str = ""
    """what was typed, for --set; where it was counted, for a data set"""
    recipe: Setting | None = None
    """what the recipe says, when this value is another one"""

    @property
    def origin(self) -> str:
        """`specs/recipes/simclrv2.toml:31`, `--set pretrain.epochs=2`, ..."""
        if self.document is not None:
            return f"{self.document.file}:{self.document.line(self.path)}"
        return self.text or self.layer

    @property
    def is_deviation(self) -> bool:
        """Another value than the recipe's, whatever status its file claims for it."""
        return self.recipe is not None

    @property
    def is_assumption(self) -> bool:
        """The recipe's own choice where the paper and its code are silent, even if it was written once more."""
        return self.recipe is None and self.status == ASSUMED


def leaves(
    document: Document, at: Path, known: Mapping[str, Schema], layer: LayerName, rule: str = ""
) -> Iterator[tuple[str, Setting]]:
    """Dotted name and setting of every known leaf of the table at `at`."""
    table: Any = document.data
    for part in at:
        table = table.get(part, {}) if isinstance(table, dict) else table[part]
    for dotted, leaf in known.items():
        value: Any = table
        path = at
        for part in dotted.split("."):
            if not isinstance(value, dict) or part not in value:
                break
            value = value[part]
            path = (*path, part)
        else:
            written = value if isinstance(value, dict) else {"value": value}
            source, status = written.get("source", ""), written.get("status", "")
            yield (
                dotted,
                Setting(coerce(written["value"], leaf), layer, document, path, source=source, status=status, rule=rule),
            )


def coerce(value: Any, leaf: Schema) -> Any:
    """The value in its field's type: 1 is 1.0 where the field is a float, 'none' is null."""
    if value == "none" and "null" in leaf.get("type", ()):
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and "number" in leaf.get("type", ()):
        return float(value) + 0.0  # and -0.0 is 0.0
    return value


def fault_at(setting: Setting, sentence: str) -> Fault:
    """A fault at the place where a value was written."""
    if setting.document is not None:
        return setting.document.fault(setting.path, sentence)
    return Fault(setting.text or setting.layer, 0, 0, sentence)
