"""All randomness is a pure function of seed, train step or epoch, and sample.

Steps that are killed at random instants, and end with the same bits: tests/test_killed.py. Draws: tests/train/test_random.py.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from simclr_spec import train

FOLDER = Path(train.__file__).parent
DRAWS = {
    *("rand", "randn", "randint", "randperm", "rand_like", "randn_like", "bernoulli", "multinomial", "shuffle"),
    *("normal_", "uniform_", "exponential_", "bernoulli_", "random_", "trunc_normal_", "kaiming_normal_", "kaiming_uniform_"),
    *("dropout", "Dropout", "Generator"),
}
"""Functions and methods of torch and the like; a Generator draws nothing yet, and is made for that alone."""
OURS = "simclr_spec.train.random"
ELSEWHERE = ("random.py", "model/")
"""Where the draws are made; initial weights, from the generator that the Step's seed sets right before."""


def drawn(tree: ast.AST) -> list[int]:
    """Lines that draw from a generator with a state: it would have to be saved, and be the same on every rank."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(name)) if name in DRAWS:
                found.append(node.lineno)
            case ast.Import(names=names) if any("random" in name.name.split(".") for name in names):
                found.append(node.lineno)
            case ast.ImportFrom(module=module, names=names) if module != OURS and (
                "random" in str(module).split(".") or {name.name for name in names} & {"random", *DRAWS}
            ):
                found.append(node.lineno)
            case ast.Attribute(value=ast.Name(id="np" | "numpy"), attr="random"):
                found.append(node.lineno)
    return found


@pytest.mark.parametrize(
    "code",
    [
        "torch.rand(3)",
        "import random",
        "import numpy.random",
        "from random import shuffle",
        "from numpy import random",
        "from numpy.random import default_rng",
        "from torch import randperm",
        "np.random.default_rng()",
        "torch.Generator().manual_seed(3)",
        "weight.normal_()",
        "times.exponential_()",
        "nn.init.trunc_normal_(weight)",
        "F.dropout(x)",
        "nn.Dropout(0.5)",
    ],
)
def test_a_draw_would_be_noticed(code: str) -> None:
    assert drawn(ast.parse(code)) == [1]


def test_training_draws_from_no_generator_with_a_state() -> None:
    files = {str(path.relative_to(FOLDER)): ast.parse(path.read_text(encoding="utf-8")) for path in FOLDER.rglob("*.py")}
    assert len(files) > 20
    assert {name: drawn(tree) for name, tree in files.items() if drawn(tree) and not name.startswith(ELSEWHERE)} == {}
