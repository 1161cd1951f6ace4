"""What the measurements stand on: made-up matrices that are what their names and tables say."""

import gzip
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import io, sparse

from tests.bench.population import BLOCK_CELLS, TYPES, Population
from tests.bench.synthetic import Format, Synthetic, ensure
from worker.matrices.matrix import Matrix
from worker.matrices.opening import open_matrix

CELLS = 8 * BLOCK_CELLS + 100
KINDS: tuple[Format, ...] = ("mtx.zip", "h5ad")
PEAK_GROWTH = """
import os, sys
from pathlib import Path
from tests.bench.synthetic import ensure
from worker.limits import resident_mib

peaks = []
for cells in map(int, sys.argv[2:]):
    ensure(cells, Path(sys.argv[1]))
    peaks.append(resident_mib(os.getpid()).peak)
print(peaks[1] - peaks[0])
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[Format, Synthetic]:
    folder = tmp_path_factory.mktemp("synthetic")
    return {kind: ensure(CELLS, folder, kind) for kind in KINDS}


@pytest.fixture(scope="module")
def members(made: dict[Format, Synthetic]) -> dict[str, bytes]:
    """The members of the archive, unpacked."""
    with zipfile.ZipFile(made["mtx.zip"].path) as archive:
        return {name.rpartition("/")[2]: gzip.decompress(archive.read(name)) for name in archive.namelist()}


@pytest.fixture(scope="module")
def counts(members: dict[str, bytes]) -> Any:
    """Cells by genes, read without any of our own readers."""
    return sparse.csr_array(io.mmread(BytesIO(members["matrix.mtx.gz"]), spmatrix=False).T)


@pytest.fixture(scope="module")
def cells(members: dict[str, bytes]) -> pd.DataFrame:
    return pd.read_csv(BytesIO(members["cells.tsv.gz"]), sep="\t")


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_bytes(made: dict[Format, Synthetic], kind: Format, tmp_path: Path) -> None:
    again = ensure(CELLS, tmp_path, kind)
    assert again.path.read_bytes() == made[kind].path.read_bytes()
    assert again.types.read_bytes() == made[kind].types.read_bytes()


def test_another_seed_gives_other_counts() -> None:
    one, other = (Population(seed).draw(0, BLOCK_CELLS) for seed in (1, 2))
    assert not np.array_equal(one.counts, other.counts)


def test_a_smaller_matrix_is_the_start_of_a_larger_one() -> None:
    population = Population(0)
    small, large = population.draw(0, 10), population.draw(0, BLOCK_CELLS)
    assert len(small.types) == 10
    assert np.array_equal(small.counts, large.counts[: small.indptr[-1]])


def test_sums_are_those_that_the_table_of_cells_tells(counts: Any, cells: pd.DataFrame) -> None:
    assert counts.shape == (CELLS, 32_738)
    assert np.array_equal(counts.sum(axis=1), cells["total_umis"])
    assert np.array_equal(np.diff(counts.indptr), cells["genes_detected"])
    assert cells["cellkey"].is_unique


def test_the_true_types_lie_beside_and_in_the_table_of_cells(
    made: dict[Format, Synthetic], cells: pd.DataFrame
) -> None:
    types = np.load(made["mtx.zip"].types)
    assert [f"type {number}" for number in types] == list(cells["true_type"])
    assert np.bincount(types, minlength=TYPES)[0] == pytest.approx(CELLS * Population(0).type_shares[0], rel=0.1)


def test_both_formats_have_the_same_counts_cells_and_genes(
    made: dict[Format, Synthetic], counts: Any, cells: pd.DataFrame, members: dict[str, bytes]
) -> None:
    data = anndata.read_h5ad(made["h5ad"].path)
    assert data.X is not None
    assert (counts != data.X).nnz == 0
    assert list(data.obs_names) == list(cells["cellkey"])
    assert list(data.obs["true_type"]) == list(cells["true_type"])
    genes = pd.read_csv(BytesIO(members["genes.tsv.gz"]), sep="\t")
    assert list(data.var_names) == list(genes["featurekey"])
    assert list(data.var["feature_name"]) == list(genes["featurename"])


def test_counts_look_like_those_of_droplet_sequencing(counts: Any) -> None:
    per_cell = np.sort(counts.sum(axis=1))
    assert 3_700 < np.median(per_cell) < 4_300
    assert 1_300 < counts.nnz / CELLS < 1_470
    assert 0.6 < np.mean(counts.data == 1) < 0.7
    assert 0 < np.mean(counts.data > 255) < 0.001


def test_cells_of_a_type_express_its_markers(made: dict[Format, Synthetic], counts: Any) -> None:
    types = np.load(made["mtx.zip"].types)
    shares = np.array([counts[types == kind].sum(axis=0) / counts[types == kind].sum() for kind in (0, 1)])
    folds = np.log2((shares[0] + 1e-5) / (shares[1] + 1e-5))
    assert np.count_nonzero(folds > 2) > 30
    assert np.count_nonzero(folds < -2) > 30


def test_the_worker_reads_them(made: dict[Format, Synthetic], counts: Any, tmp_path: Path) -> None:
    for kind in KINDS:
        scratch = tmp_path / kind
        scratch.mkdir()
        (matrix,) = open_matrix(made[kind].path, scratch).matrices
        assert matrix.species == "homo_sapiens"
        assert set(matrix.cells.library_labels if matrix.cells.library_labels is not None else ()) == {
            "10X v2 sequencing"
        }
        assert _sums(matrix) == pytest.approx(counts.sum(axis=0))


def _sums(matrix: Matrix) -> Any:
    return sum(np.bincount(block.indices, block.values, len(matrix.genes)) for block in matrix.blocks())


def test_memory_does_not_grow_with_the_matrix(tmp_path: Path) -> None:
    few, many = 24 * BLOCK_CELLS, 72 * BLOCK_CELLS
    command = [sys.executable, "-c", PEAK_GROWTH, str(tmp_path), str(few), str(many)]

    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)

    counts_mib = 8 * 1_384 * (many - few) / 2**20
    assert float(ended.stdout) < counts_mib / 2


def test_a_matrix_that_is_there_is_not_made_again(made: dict[Format, Synthetic]) -> None:
    path = made["h5ad"].path
    before = path.stat().st_mtime_ns

    ensure(CELLS, path.parent, "h5ad")

    assert path.stat().st_mtime_ns == before
    assert sorted(place.name for place in path.parent.iterdir()) == [
        f"synthetic-1-0-{CELLS}.h5ad",
        f"synthetic-1-0-{CELLS}.mtx.zip",
        f"synthetic-1-0-{CELLS}.types.npy",
    ]
