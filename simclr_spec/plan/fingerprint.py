"""The identity of a Step: SHA-256 of canonical JSON of everything that can change its result, and of nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode


def canonical(value: Any) -> str:
    """Sorted keys, no spaces, shortest floats, ASCII; ValueError on NaN and infinity."""
    return _encode(value)


def fingerprint(kind: str, params: Mapping[str, Any], needs: Mapping[str, str]) -> str:
    """Hex digest of a Step: its kind, resolved parameters (typed: floats are floats) and its parents' fingerprints by role."""
    return digest({"kind": kind, "params": params, "needs": needs})


def digest(value: Any) -> str:
    """Hex SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical(value).encode("ascii")).hexdigest()
