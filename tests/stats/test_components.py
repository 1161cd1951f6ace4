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


def test_small_differences_between_deep_cells_are_not_lost() -> None:
    # given a few kinds of cells with millions of counts each, hardly different, as of full-length methods
    random = np.random.default_rng(0)
    shares = random.lognormal(0, 1, 300) * np.exp(random.normal(0, 0.02, (6, 300)))
    counts = random.poisson(5e7 * (shares / shares.sum(axis=1, keepdims=True))[random.integers(0, 6, 100)]).astype(
        float
    )
    logged = np.log1p(TARGET_SUM * counts / counts.sum(axis=1, keepdims=True))
    left, singular, _ = np.linalg.svd(logged - logged.mean(axis=0), full_matrices=False)

    found = components.compute(InMemory(counts), np.ones(300, np.bool_))

    assert not isinstance(found, Missing)
    correlations = [abs(np.corrcoef(found.scores[:, k], left[:, k])[0, 1]) for k in range(30)]
    assert min(correlations) > 0.9999
    assert np.allclose(found.variance_ratio, (singular**2 / (singular**2).sum())[:50], rtol=1e-3)


def test_the_same_counts_give_the_same_components_where_the_search_for_them_has_to_begin_anew() -> None:
    # given a covariance of which the start of the search is an eigenvector of no length
    halves = np.tile([5, 1], 200), np.tile([1, 5], 200)
    counts = np.repeat(halves, 30, axis=0).astype(float)

    first, second = (components.compute(InMemory(counts), np.ones(400, np.bool_)) for _ in range(2))

    assert not isinstance(first, Missing)
    assert not isinstance(second, Missing)
    assert first.scores.tobytes() == second.scores.tobytes()
