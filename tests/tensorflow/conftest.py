"""TensorFlow lives in an environment of its own, which the tests never import."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Tensorflow = Callable[..., str]
"""(verb of write.py, its arguments) -> what it printed"""


@pytest.fixture(scope="session")
def tensorflow() -> Tensorflow:
    python = os.environ.get("SIMCLR_SPEC_TENSORFLOW")
    if not python:
        pytest.skip("needs a Python that has TensorFlow, named by SIMCLR_SPEC_TENSORFLOW: make test-tensorflow")

    def run(*words: object) -> str:
        command = [python, str(Path(__file__).with_name("write.py")), *map(str, words)]
        done = subprocess.run(command, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run
