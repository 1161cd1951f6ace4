"""Matrix files made for a test, and matrices read whole to compare them."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import scipy.sparse

from tests.conftest import DATA
from worker.matrices.matrix import CountBlock, Matrix, OpenedFile
from worker.matrices.opening import open_matrix

MATRICES = DATA / "matrices"
SAMPLES = Path(__file__).parents[2] / "infra" / "local" / "samples"

FEATURES = b"ENSG00000000001\tAAA\nENSG00000000002\tBBB\nENSG00000000003\tMT-CO1\n"
CELLS = b"cell-1\ncell-2\ncell-3\ncell-4\n"
MARKET = b"%%MatrixMarket matrix coordinate integer general\n%\n3 4 4\n1 1 5\n3 1 2\n2 2 7\n3 4 1\n"
"""Three genes by four cells; the third cell has no counts."""
COUNTS = np.array([[5, 0, 2], [0, 7, 0], [0, 0, 0], [0, 0, 1]], np.float32)
"""The same, cells by genes."""


def folder(matrix: bytes = MARKET, features: bytes = FEATURES, cells: bytes = CELLS) -> dict[str, bytes]:
    """The members of a Cell Ranger 2 folder."""
    return {"run/matrix.mtx": matrix, "run/genes.tsv": features, "run/barcodes.tsv": cells}


def zipped(path: Path, members: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """A zip archive."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def tarred(path: Path, members: Mapping[str, bytes]) -> Path:
    """A tar archive, gzipped if its name says so."""
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    if path.name.endswith("gz"):
        path.write_bytes(gzip.compress(path.read_bytes(), 1))
    return path


def gzipped(members: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same members, each packed with gzip."""
    return {f"{name}.gz": gzip.compress(content) for name, content in members.items()}


def members_of(path: Path) -> dict[str, bytes]:
    """The files of a folder, below its name."""
    return {f"{path.name}/{file.name}": file.read_bytes() for file in sorted(path.iterdir())}


def opened(path: Path, scratch: Path) -> OpenedFile:
    """The file, with a scratch folder of its own below ``scratch``."""
    room = scratch / f"room-{len(list(scratch.iterdir()))}"
    room.mkdir()
    return open_matrix(path, room)


def only_matrix(path: Path, scratch: Path) -> Matrix:
    """The one matrix of a file."""
    (matrix,) = opened(path, scratch).matrices
    return matrix


def whole(matrix: Matrix) -> scipy.sparse.csr_array:
    """All counts, cells by genes; every block is checked against what CountBlock promises."""
    blocks = list(matrix.blocks())
    for block in blocks:
        assert_promises_kept(block)
    width = len(matrix.genes)
    parts = [
        scipy.sparse.csr_array((block.values, block.indices, block.indptr), shape=(block.n_cells, width))
        for block in blocks
    ]
    return scipy.sparse.vstack(parts, format="csr")


def assert_promises_kept(block: CountBlock) -> None:
    """Types, bounds, ascending genes, no zeros."""
    assert [part.dtype.name for part in (block.indptr, block.indices, block.values)] == ["int64", "int32", "float32"]
    assert block.indptr[0] == 0
    assert block.indptr[-1] == len(block.indices) == len(block.values)
    assert np.all(block.values != 0)
    steps = np.diff(block.indices)
    starts = block.indptr[1:-1]
    within = np.ones(len(steps), np.bool_)
    within[starts[(starts > 0) & (starts <= len(steps))] - 1] = False
    assert np.all(steps[within] > 0)


def assert_same(found: scipy.sparse.csr_array, expected: object) -> None:
    """Equal cell by cell, gene by gene."""
    wanted = scipy.sparse.csr_array(expected).astype(np.float32)
    assert found.shape == wanted.shape
    assert (found != wanted).nnz == 0
