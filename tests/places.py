"""Where things lie that tests read."""

from __future__ import annotations

from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"
"""Small reference numbers, kept with the tests."""
