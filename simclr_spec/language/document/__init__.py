"""TOML and JSON text -> validated data; every fault with file:line:column, all at once.

A fault stands at the key where the key is wrong (unknown, set twice) and at the value otherwise.
positions < document < limits < reading < validation, and validator < validation; loading puts them together, with kinds.
"""

from simclr_spec.language.document.document import Document
from simclr_spec.language.document.limits import DEEPEST, MOST_ENTRIES, MOST_FAULTS, MOST_KEYS, MOST_VALUES
from simclr_spec.language.document.loading import all_referred, load, referred
from simclr_spec.language.document.positions import Path
from simclr_spec.language.document.reading import parse, toml_value
from simclr_spec.language.document.validation import value_fault

__all__ = [
    "DEEPEST",
    "MOST_ENTRIES",
    "MOST_FAULTS",
    "MOST_KEYS",
    "MOST_VALUES",
    "Document",
    "Path",
    "all_referred",
    "load",
    "parse",
    "referred",
    "toml_value",
    "value_fault",
]
