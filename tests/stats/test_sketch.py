"""Very many cells, by way of some of them; tried on few by moving the bounds."""

import os

import numpy as np
import pytest
from sklearn.manifold import trustworthiness
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import NearestNeighbors

from worker.stats import clusters, embedding, neighborhood, neighbors
from worker.stats.summary import Floats, Integers

N_CELLS = 9_000


def _cells(n_cells: int = N_CELLS) -> tuple[Floats, Integers]:
    """Types of 30 % to 0.5 % of the cells, some close to each other, and the type of each cell."""
    random = np.random.default_rng(1)
    types = random.choice(8, n_cells, p=[0.3, 0.25, 0.2, 0.1, 0.08, 0.05, 0.015, 0.005]).astype(np.int32)
    centres = random.normal(size=(8, 20)) * 4
    return (centres[types] + random.normal(size=(n_cells, 20))).astype(np.float32), types


@pytest.fixture(scope="module")
def sketched() -> neighborhood.Neighborhood:
    """The cells, of which half are a sketch."""
    return neighborhood.connect(_cells()[0], sketch_cells=4_500)


def test_likely_neighbors_are_nearly_always_the_nearest() -> None:
    scores, _ = _cells(30_000)
    some = np.arange(0, len(scores), 30)
    exact = NearestNeighbors(n_neighbors=15).fit(scores).kneighbors(scores[some], return_distance=False)[:, 1:]

    found = neighbors.nearest(scores, 14, exact_cells=0)

    shares = [len(np.intersect1d(*pair)) / 14 for pair in zip(found.indices[some], exact, strict=True)]
    assert np.mean(shares) > 0.9
    assert np.all(np.diff(found.distances, axis=1) >= 0)
    assert not np.any(found.indices == np.arange(len(scores))[:, np.newaxis])


def test_equal_cells_are_each_others_neighbors_however_cells_are_put_into_lists() -> None:
    scores = np.zeros((2 * neighbors.CELLS_OF_A_PART + 1_000, 5), np.float32)
    scores[0] = 50

    found = neighbors.nearest(scores, 14, exact_cells=0)

    assert np.all(found.distances[1:] == 0)
    assert np.array_equal(found.indices[-1], np.arange(1, 15))  # equals by number, as where every pair is looked at
    assert np.all(found.distances[0] > 0)


def test_the_closest_cells_come_in_the_order_of_their_distances() -> None:
    scores, _ = _cells(3_000)
    points, cells = scores[2_000:], scores[:2_000]
    expected, _ = NearestNeighbors(n_neighbors=3).fit(cells).kneighbors(points)

    found = neighbors.closest(points, cells, 3)

    distances = np.linalg.norm(points[:, np.newaxis].astype(np.float64) - cells[found], axis=2)
    assert np.allclose(distances, expected, atol=1e-4)  # single precision may swap what is equally near


def test_every_cell_gets_a_cluster_as_if_all_had_been_clustered_at_once(sketched: neighborhood.Neighborhood) -> None:
    scores, types = _cells()
    whole = clusters.find(neighborhood.connect(scores))

    found = clusters.find(sketched)

    assert found.labels.shape == (N_CELLS,)
    assert found.sizes.sum() == N_CELLS
    assert adjusted_rand_score(found.labels, types) > adjusted_rand_score(whole.labels, types) - 0.05


def test_every_cell_gets_a_place_among_its_neighbors(sketched: neighborhood.Neighborhood) -> None:
    scores, _ = _cells()
    some = np.random.default_rng(0).choice(N_CELLS, 3_000, replace=False)
    whole = embedding.lay_out(neighborhood.connect(scores))

    found = embedding.lay_out(sketched)

    assert found.shape == (N_CELLS, 2)
    ours, reference = (trustworthiness(scores[some], places[some], n_neighbors=15) for places in (found, whole))
    assert ours > reference - 0.01


def test_the_sketch_stays_where_it_would_be_alone(sketched: neighborhood.Neighborhood) -> None:
    assert sketched.sketch is not None
    chosen = sketched.sketch.cells
    alone = neighborhood.connect(_cells()[0][chosen])

    assert np.array_equal(embedding.lay_out(sketched)[chosen], embedding.lay_out(alone))
    labels = clusters.find(sketched).labels[chosen]
    assert adjusted_rand_score(labels, clusters.find(alone).labels) == 1


def test_a_cell_that_equals_one_of_the_sketch_lies_with_it() -> None:
    scores = np.repeat(_cells(1_000)[0], 10, axis=0)

    found = neighborhood.connect(scores, sketch_cells=8_000)

    assert found.sketch is not None
    others = np.setdiff1d(np.arange(len(scores)), found.sketch.cells)
    nearest = found.sketch.cells[found.sketch.nearest.indices[others, 0]]
    assert np.mean(nearest // 10 == others // 10) > 0.99
    assert np.isfinite(embedding.lay_out(found)).all()


def test_the_same_cells_give_the_same_bytes_on_any_number_of_processors(sketched: neighborhood.Neighborhood) -> None:
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})
    try:
        again = neighborhood.connect(_cells()[0], sketch_cells=4_500)
        places, labels = embedding.lay_out(again), clusters.find(again).labels
    finally:
        os.sched_setaffinity(0, processors)

    assert again.graph.data.tobytes() == sketched.graph.data.tobytes()
    assert places.tobytes() == embedding.lay_out(sketched).tobytes()
    assert labels.tobytes() == clusters.find(sketched).labels.tobytes()
