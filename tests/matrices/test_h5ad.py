"""AnnData files: where the counts are, how they are stored, what is said of cells and genes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from shared.errors import CorruptMatrixError, EmptyMatrixError, NoRawCountsError, UnsupportedFormatError
from tests.matrices.building import assert_same, only_matrix, opened, whole

COUNTS = np.random.default_rng(0).poisson(0.7, (60, 25)).astype(np.float32)
LOGGED = np.log1p(COUNTS / COUNTS.sum(1, keepdims=True) * 1e4)
NAMES = [f"f{n}" for n in range(25)]
LIBRARY = ["10x 3' v2", "Smart-seq2", "10x 3' v2"] * 20

pytestmark = [
    pytest.mark.filterwarnings("ignore:The 'future.infer_string' option:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def _written(path: Path, x: object, **parts: Any) -> Path:
    obs = pd.DataFrame({"assay": pd.Categorical(LIBRARY)}, index=[f"cell-{n}" for n in range(60)])
    var = pd.DataFrame({"feature_name": [f"Gene{n}" for n in range(25)]}, index=[f"ENSG{n:011}" for n in range(25)])
    data = anndata.AnnData(X=x, obs=obs, var=var, **parts)
    data.write_h5ad(path)
    return path


def _with_raw(path: Path, x: object, raw: object) -> Path:
    data = anndata.AnnData(X=raw, var=pd.DataFrame(index=[f"r{n}" for n in range(25)]))
    data.raw = data.copy()
    data = data[:, :20].copy()
    data.X = x
    data.write_h5ad(path)
    return path


@pytest.mark.parametrize(
    "stored",
    [
        scipy.sparse.csr_matrix,
        scipy.sparse.csc_matrix,
        np.asarray,
        lambda x: scipy.sparse.csr_matrix(x.astype(np.int64)),
        lambda x: scipy.sparse.csc_matrix(x.astype(np.float64)),
        lambda x: x.astype(np.uint16),
    ],
    ids=["csr", "csc", "dense", "csr-int64", "csc-float64", "dense-uint16"],
)
def test_counts_are_the_same_however_they_are_stored(stored: Callable[[object], object], tmp_path: Path) -> None:
    matrix = only_matrix(_written(tmp_path / "a.h5ad", stored(COUNTS)), tmp_path)

    assert_same(whole(matrix), COUNTS)
    assert matrix.genes.ids[1] == "ENSG00000000001"
    assert matrix.genes.symbols[1] == "Gene1"
    assert matrix.cells.ids[1] == "cell-1"
    assert matrix.cells.library_labels is not None
    assert matrix.cells.library_labels.tolist() == LIBRARY


def test_raw_counts_in_a_layer_are_found_beside_logged_values(tmp_path: Path) -> None:
    matrix = only_matrix(
        _written(tmp_path / "a.h5ad", LOGGED, layers={"Counts": scipy.sparse.csr_matrix(COUNTS)}), tmp_path
    )

    assert_same(whole(matrix), COUNTS)
    assert matrix.reading[0].startswith("Counts are taken from layers/Counts: layers/Counts has whole numbers")


def test_raw_counts_in_raw_bring_their_own_genes(tmp_path: Path) -> None:
    matrix = only_matrix(_with_raw(tmp_path / "a.h5ad", LOGGED[:, :20], scipy.sparse.csr_matrix(COUNTS)), tmp_path)

    assert_same(whole(matrix), COUNTS)
    assert matrix.genes.ids.tolist() == [f"r{n}" for n in range(25)]


def test_raw_counts_in_x_are_found_beside_a_logged_raw(tmp_path: Path) -> None:
    matrix = only_matrix(_with_raw(tmp_path / "a.h5ad", COUNTS[:, :20], LOGGED), tmp_path)

    assert_same(whole(matrix), COUNTS[:, :20])
    assert matrix.genes.ids.tolist() == [f"r{n}" for n in range(20)]


def test_logged_values_alone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NoRawCountsError, match=r"X has fractions up to .* send a file with raw counts"):
        opened(_written(tmp_path / "a.h5ad", LOGGED), tmp_path)


def test_a_negative_value_that_no_sample_met_is_found_with_its_place(tmp_path: Path) -> None:
    """It lies between the spots that are looked at."""
    counts = scipy.sparse.random_array((3_000, 500), density=0.9, rng=0, format="csr", dtype=np.float32)
    counts.data[:] = 1
    where = int(0.3 * counts.nnz)
    counts.data[where] = -4
    path = tmp_path / "a.h5ad"
    anndata.AnnData(X=scipy.sparse.csr_matrix(counts)).write_h5ad(path)
    cell = int(np.searchsorted(counts.indptr, where, side="right")) - 1

    matrix = only_matrix(path, tmp_path)

    with pytest.raises(
        CorruptMatrixError, match=rf"cell {cell} \(number {cell + 1:,}\), gene {counts.indices[where]}: "
    ):
        whole(matrix)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ({"organism": ["Homo sapiens"] * 60}, "homo_sapiens"),
        ({"organism_ontology_term_id": ["NCBITaxon:10090"] * 60}, "mus_musculus"),
        ({"organism": ["Homo sapiens", "Mus musculus"] * 30}, None),
        ({"organism": ["unknown"] * 60}, None),
    ],
)
def test_the_species_is_what_the_cells_say(column: dict[str, list[str]], expected: str | None, tmp_path: Path) -> None:
    obs = pd.DataFrame(column, index=[str(n) for n in range(60)])
    path = tmp_path / "a.h5ad"
    anndata.AnnData(X=COUNTS, obs=obs).write_h5ad(path)

    assert only_matrix(path, tmp_path).species == expected


def test_the_species_may_stand_in_uns(tmp_path: Path) -> None:
    path = _written(tmp_path / "a.h5ad", COUNTS, uns={"organism_ontology_term_id": "NCBITaxon:7955"})

    assert only_matrix(path, tmp_path).species == "danio_rerio"


def test_the_ontology_id_stands_in_where_the_label_is_missing(tmp_path: Path) -> None:
    obs = pd.DataFrame(
        {
            "assay": pd.Categorical(["Smart-seq2", None] * 30),
            "assay_ontology_term_id": pd.Categorical(["EFO:0008931", "EFO:0009310"] * 30),
        },
        index=[str(n) for n in range(60)],
    )
    path = tmp_path / "a.h5ad"
    anndata.AnnData(X=COUNTS, obs=obs).write_h5ad(path)

    labels = only_matrix(path, tmp_path).cells.library_labels

    assert labels is not None
    assert labels.tolist() == ["Smart-seq2", "EFO:0009310"] * 30


def test_features_that_are_no_genes_are_left_out(tmp_path: Path) -> None:
    var = pd.DataFrame(
        {"feature_types": ["Gene Expression"] * 20 + ["Peaks"] * 3 + ["Antibody Capture"] * 2},
        index=NAMES,
    )
    path = tmp_path / "a.h5ad"
    anndata.AnnData(X=scipy.sparse.csc_matrix(COUNTS), var=var).write_h5ad(path)

    matrix = only_matrix(path, tmp_path)

    assert_same(whole(matrix), COUNTS[:, :20])
    assert "5 features that are no genes were left out (Antibody Capture, Peaks)." in matrix.reading


def test_features_without_a_gene_are_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.h5ad"
    anndata.AnnData(X=COUNTS, var=pd.DataFrame({"feature_types": ["Peaks"] * 25}, index=NAMES)).write_h5ad(path)

    with pytest.raises(EmptyMatrixError, match="no feature is a gene, all are Peaks"):
        opened(path, tmp_path)


@pytest.mark.parametrize("shape", [(0, 25), (60, 0)])
def test_no_cells_or_no_genes_is_empty(shape: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "a.h5ad"
    anndata.AnnData(X=scipy.sparse.csr_matrix(shape, dtype=np.float32)).write_h5ad(path)

    with pytest.raises(EmptyMatrixError, match="nothing to summarise"):
        opened(path, tmp_path)


def test_all_zero_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.h5ad"
    anndata.AnnData(X=np.zeros((5, 4), np.float32)).write_h5ad(path)

    with pytest.raises(EmptyMatrixError, match="all counts are zero"):
        whole(only_matrix(path, tmp_path))


def _oldest(path: Path) -> None:
    """Compound tables, categories in uns, h5sparse attributes: anndata 0.6."""
    counts = scipy.sparse.csr_matrix(COUNTS)
    with h5py.File(path, "w") as file:
        group = file.create_group("X")
        group.attrs["h5sparse_format"] = b"csr"
        group.attrs["h5sparse_shape"] = counts.shape
        for part in ("data", "indices", "indptr"):
            group[part] = getattr(counts, part)
        obs = np.zeros(60, [("index", "S10"), ("assay", "i1")])
        obs["index"], obs["assay"] = [b"cell-%d" % n for n in range(60)], [0, 1, -1] * 20
        file["obs"] = obs
        file["uns/assay_categories"] = np.array([b"10x 3' v2", b"Smart-seq2"])
        var = np.zeros(25, [("index", "S20"), ("gene_ids", "S20")])
        var["index"], var["gene_ids"] = ([b"%s%d" % (name, n) for n in range(25)] for name in (b"Gene", b"ENSG"))
        file["var"] = var


def _references(path: Path) -> None:
    """Categories by reference: anndata 0.7."""
    _written(path, scipy.sparse.csr_matrix(COUNTS))
    with h5py.File(path, "r+") as file:
        del file["obs/assay"]
        file["obs/__categories/assay"] = np.array([b"10x 3' v2", b"Smart-seq2"])
        file["obs/assay"] = np.array([0, 1, -1] * 20, np.int8)
        file["obs/assay"].attrs["categories"] = file["obs/__categories/assay"].ref


@pytest.mark.parametrize("write", [_oldest, _references])
def test_files_of_earlier_anndata_are_read(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / "a.h5ad")

    matrix = only_matrix(tmp_path / "a.h5ad", tmp_path)

    assert_same(whole(matrix), COUNTS)
    assert matrix.cells.library_labels is not None
    assert matrix.cells.library_labels.tolist() == ["10x 3' v2", "Smart-seq2", ""] * 20
    assert matrix.genes.symbols[3] == "Gene3"
    assert matrix.genes.ids[3].startswith("ENSG")
    assert matrix.cells.ids[3] == "cell-3"


def _with(path: str, value: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[path]
        file[path] = value

    return change


def _shortened(path: str) -> Callable[[h5py.File], None]:
    """One entry less; of texts with a mask in both."""

    def change(file: h5py.File) -> None:
        parts = [f"{path}/values", f"{path}/mask"] if isinstance(file[path], h5py.Group) else [path]
        for part in parts:
            _with(part, file[part][:-1])(file)

    return change


def _linked_outside(file: h5py.File) -> None:
    del file["X/data"]
    file["X/data"] = h5py.ExternalLink("/etc/passwd", "/data")


def _linked_outside_by_a_detour(file: h5py.File) -> None:
    with h5py.File(f"{file.filename}.other", "w") as other:
        other["data"] = file["X/data"][()]
    del file["X/data"]
    file["elsewhere"] = h5py.ExternalLink(f"{file.filename}.other", "/")
    file["X/data"] = h5py.SoftLink("/elsewhere/data")


def _stored_outside(file: h5py.File) -> None:
    count = len(file["X/data"])
    del file["X/data"]
    file.create_dataset("X/data", (count,), "u1", external=[("/etc/passwd", 0, count)])


def _of_another_shape(file: h5py.File) -> None:
    file["X"].attrs["shape"] = (60, 26)


def _absurd(file: h5py.File) -> None:
    file["X"].attrs["shape"] = (60, 2**40)


def _poked(path: str, place: int, value: float) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file[path][place] = value

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_poked("X/indices", 7, 25), r"/X/indices, entry 7: 25 is not among 0 to 24"),
        (_poked("X/indices", 7, -1), r"/X/indices, entry 7: -1 is not among"),
        (_poked("X/indptr", 5, 10**6), r"/X/indptr does not ascend"),
        (_poked("X/data", 7, np.nan), r"X: cell cell-\d+ \(number \d+\), gene ENSG\d+: nan is no count"),
        (_poked("X/data", 7, np.inf), r"inf is no count"),
        (_poked("X/data", 7, -2), r"the count -2 is negative|negative values"),
        (_shortened("X/data"), r"indptr ends at \d+, but there are \d+ values"),
        (_shortened("X/indptr"), r"/X/indptr has 60 entries, but 60 rows need 61"),
        (_shortened("obs/_index"), r"obs/assay has 60 entries, but the index 59"),
        (_shortened("var/feature_name"), r"var/feature_name has 24 entries"),
        (_with("obs/assay/codes", np.full(60, 9, np.int8)), r"codes do not fit its 2 categories"),
        (_shortened("obs/_index/mask"), r"/obs/_index has 60 values and a mask of 59"),
        (_with("X/data", np.array([b"x"] * 10)), r"expected numbers|indptr ends at"),
        (_linked_outside, r"/X/data is a link to another file"),
        (_linked_outside_by_a_detour, r"/X/data leads to another file"),
        (_with("obs/assay/codes", np.zeros((60, 2), np.int8)), r"“codes” is missing or has not 1 dimension"),
        (_stored_outside, r"/X/data lies in another file"),
        (_of_another_shape, r"X is 60 cells by 26 genes, but obs has 60 and var 25 rows"),
        (_absurd, r"is absurd"),
        (lambda file: file.pop("X/indices"), r"“indices” is missing"),
    ],
)
def test_damage_is_named_with_its_place(damage: Callable[[h5py.File], None], message: str, tmp_path: Path) -> None:
    path = _written(tmp_path / "a.h5ad", scipy.sparse.csr_matrix(COUNTS))
    with h5py.File(path, "r+") as file:
        damage(file)

    with pytest.raises((CorruptMatrixError, NoRawCountsError), match=message) as raised:
        whole(only_matrix(path, tmp_path))

    assert str(raised.value).startswith("a.h5ad")


def test_damaged_values_are_named_with_their_dataset(tmp_path: Path) -> None:
    path = tmp_path / "a.h5ad"
    _written(path, scipy.sparse.csr_matrix(COUNTS))
    with h5py.File(path, "r+") as file:
        values = file["X/data"][()]
        del file["X/data"]
        packed = file.create_dataset("X/data", data=values, chunks=(len(values),), compression="gzip")
        place = packed.id.get_chunk_info(0)
    with path.open("r+b") as raw:
        raw.seek(place.byte_offset)
        raw.write(b"\xff" * place.size)

    with pytest.raises(CorruptMatrixError, match=r"/X/data, at 0:\d+: damaged HDF5"):
        whole(only_matrix(path, tmp_path))


def test_a_layout_that_is_not_known_is_unsupported_and_lists_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["molecule_info"] = [1, 2]

    with pytest.raises(UnsupportedFormatError, match="HDF5 with molecule_info in it"):
        opened(path, tmp_path)
