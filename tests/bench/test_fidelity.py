"""The measure of layouts is the one that is known."""

import numpy as np
import pytest
from sklearn import manifold

from tests.bench import fidelity


def test_trustworthiness_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    scores = random.normal(size=(400, 10))
    layout = scores[:, :2] + random.normal(size=(400, 2))

    expected = manifold.trustworthiness(scores, layout, n_neighbors=fidelity.NEIGHBORS)

    assert fidelity.trustworthiness(scores, layout) == pytest.approx(expected, abs=1e-12)


def test_cells_drawn_by_lot_tell_the_trustworthiness_of_all() -> None:
    random = np.random.default_rng(0)
    scores = random.normal(size=(1_000, 10))
    layout = scores[:, :2] + random.normal(size=(1_000, 2))
    expected = manifold.trustworthiness(scores, layout, n_neighbors=fidelity.NEIGHBORS)

    assert fidelity.trustworthiness(scores, layout, most=500) == pytest.approx(expected, abs=0.01)
