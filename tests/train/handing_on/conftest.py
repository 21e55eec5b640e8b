"""What the tests of this folder share."""

from __future__ import annotations

import pytest

from tests.train.handing_on.trained import Trained, train


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(tmp_path_factory.mktemp("trained") / "runs")
