"""All randomness is a pure function of seed, train step or epoch, and sample.

Steps that are killed at random instants, and end with the same bits: tests/test_killed.py. Draws: tests/train/test_random.py.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from simclr_spec import train

FOLDER = Path(train.__file__).parent
DRAWS = {"rand", "randn", "randint", "randperm", "rand_like", "randn_like", "bernoulli", "multinomial", "normal_", "uniform_"}
ELSEWHERE = ("random.py", "model/")
"""Where the draws are made; initial weights, from the generator that the Step's seed sets right before."""


def drawn(tree: ast.AST) -> list[int]:
    """Lines that draw from a generator with a state: it would have to be saved, and be the same on every rank."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=name)) if name in DRAWS:
                found.append(node.lineno)
            case ast.Import(names=names) if "random" in {name.name for name in names}:
                found.append(node.lineno)
            case ast.Attribute(value=ast.Name(id="np" | "numpy"), attr="random"):
                found.append(node.lineno)
    return found


@pytest.mark.parametrize("code", ["torch.rand(3)", "import random", "weight.normal_()", "np.random.default_rng()"])
def test_a_draw_would_be_noticed(code: str) -> None:
    assert drawn(ast.parse(code)) == [1]


def test_training_draws_from_no_generator_with_a_state() -> None:
    files = {str(path.relative_to(FOLDER)): ast.parse(path.read_text(encoding="utf-8")) for path in FOLDER.rglob("*.py")}
    assert len(files) > 20
    assert {name: drawn(tree) for name, tree in files.items() if drawn(tree) and not name.startswith(ELSEWHERE)} == {}
