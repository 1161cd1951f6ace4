"""Components from products of genes are those of the whole matrix, whichever way the products are taken."""

import numpy as np
import pytest

from shared.pipeline import TARGET_SUM
from tests.stats.in_memory import InMemory
from worker.stats import components
from worker.stats.missing import Missing


@pytest.mark.parametrize("rate", [0.03, 3.0], ids=["few counts", "many counts"])
def test_components_are_the_singular_vectors_of_the_centred_matrix(rate: float) -> None:
    counts = np.random.default_rng(0).poisson(rate * np.linspace(0.1, 4, 80), (300, 80))
    counts[:, -1] += 1
    chosen = np.arange(80) % 4 > 0
    logged = np.log1p(TARGET_SUM * counts / counts.sum(axis=1, keepdims=True))[:, chosen]
    left, singular, _ = np.linalg.svd(logged - logged.mean(axis=0), full_matrices=False)

    found = components.compute(InMemory(counts), chosen)

    assert not isinstance(found, Missing)
    assert np.allclose(np.abs(found.scores), np.abs(left * singular)[:, :50], rtol=1e-3, atol=1e-3)
    assert np.allclose(found.variance_ratio, (singular**2 / (singular**2).sum())[:50], rtol=1e-5)
