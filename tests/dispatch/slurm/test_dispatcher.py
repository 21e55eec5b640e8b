"""How a submission is told."""

from __future__ import annotations

import pytest

from simclr_spec.dispatch.slurm.arrays import Array
from simclr_spec.dispatch.slurm.dispatcher import sentence
from simclr_spec.language.runner import Request


@pytest.mark.parametrize(
    ("request_", "elements", "after", "told"),
    [
        (Request(), 1, [], "job 7: 1 of pretrain, on 1 GPU for at most 24 h"),
        (
            Request(nodes=4, gpus_per_node=8, minutes=90),
            13,
            ["aftercorr:5", "afterok:6_2"],
            "job 7: 13 of pretrain, each on 4 x 8 GPUs for at most 1 h 30 min, after its own of job 5, after job 6_2",
        ),
        (
            Request(gpus_per_node=0, processes_per_node=2, minutes=10),
            2,
            [],
            "job 7: 2 of pretrain, each on 2 processes for at most 10 min",
        ),
    ],
)
def test_a_line_for_each_array(request_: Request, elements: int, after: list[str], told: str) -> None:
    array = Array("pretrain", request_, (), dict.fromkeys(range(elements)))
    assert sentence(array, "7", after) == told
