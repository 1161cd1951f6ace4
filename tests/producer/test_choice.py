"""One set of matrices per species, of all that a portal lists."""

import json
from typing import Any

import pytest

from producer.sources.choice import Chosen, choose
from producer.sources.matrix_tree import files_of
from tests.conftest import DATA
from tests.portals.azul import entry, tree

REAL = json.loads((DATA / "portals" / "azul_matrices_tree.json").read_text())


def _chosen(*trees: object) -> Chosen:
    return choose(files_of(*trees).files)


def _names(chosen: Chosen) -> list[str]:
    return [file.entry.name for each in chosen.sets for file in each.files]


def _why(chosen: Chosen) -> dict[str, str]:
    return {each.name: each.reason for each in chosen.passed_over}


def test_of_a_real_project_the_dcps_own_newest_matrix_is_chosen_and_all_else_named() -> None:
    chosen = _chosen(REAL["matrices"], REAL["contributed_analyses"])
    assert _names(chosen) == ["wong-retina-human-eye-10XV2.loom"]
    assert chosen.taken == ("homo_sapiens: 1 file of DCP/2 Analysis (loom).",)
    why = _why(chosen)
    assert len(why) == 11
    assert why["8185730f-4113-40d3-9cc3-929271784c2b.homo_sapiens.mtx.zip"] == (
        "DCP/2 Analysis comes before DCP/1 Matrix Service"
    )
    assert why["E-MTAB-7316.processed.1.zip"] == "DCP/2 Analysis comes before ArrayExpress"
    assert why["WongRetinaCelltype.csv"] == "its name says that it tells something about cells"


def test_of_a_real_project_without_the_second_generation_the_archive_is_chosen() -> None:
    first = REAL["matrices"]["genusSpecies"]["Homo sapiens"]["developmentStage"]["Unspecified"]
    chosen = _chosen({"genusSpecies": {"Homo sapiens": first}}, REAL["contributed_analyses"])
    assert _names(chosen) == ["8185730f-4113-40d3-9cc3-929271784c2b.homo_sapiens.mtx.zip"]
    assert _why(chosen)["8185730f-4113-40d3-9cc3-929271784c2b.homo_sapiens.loom"] == (
        "1 file of DCP/1 Matrix Service (mtx.zip) holds raw counts more surely"
    )


def test_all_files_of_the_contributors_of_a_real_project_make_one_set() -> None:
    chosen = _chosen(REAL["contributed_analyses"])
    assert sorted(_names(chosen)) == [f"E-MTAB-7316.processed.{number}.zip" for number in range(1, 8)]


@pytest.mark.parametrize(
    ("name", "more", "reason"),
    [
        ("a.bam", {}, "bam is no format of count matrices"),
        ("a.loom", {"isIntermediate": True}, "it is an intermediate result"),
        ("a.loom", {"contentDescription": ["Sequence alignments"]}, "described as Sequence alignments, not as"),
        ("cell_annotations.tsv.gz", {}, "tells something about cells"),
        ("GSE1_metadata.csv", {}, "tells something about cells"),
        ("obs.csv", {}, "tells something about cells"),
        ("cell_info.csv.gz", {}, "tells something about cells"),
        ("GSE1_DEGs.csv", {}, "tells something about cells"),
        ("sample_info.tsv", {}, "tells something about cells"),
        ("umap.csv", {}, "tells something about cells"),
        ("GSE1_TPM.txt.gz", {}, "no raw counts"),
        ("TPM_counts.csv", {}, "no raw counts"),
        ("GSE1_normalized_counts.csv.gz", {}, "no raw counts"),
        ("log2_counts.csv", {}, "no raw counts"),
        ("GSE1_logTPM.tsv", {}, "no raw counts"),
        ("scaled.csv", {}, "no raw counts"),
        ("x.normalized.h5ad", {}, "no raw counts"),
        ("molecule_info.h5", {}, "something else than genes"),
        ("peak_bc_matrix.h5", {}, "something else than genes"),
        ("a.loom", {"contentDescription": ["Matrix annotation"]}, "described as Matrix annotation"),
        ("notes", {"format": None}, "a format not said is no format"),
        ("a.rds", {"format": "rds"}, "rds is no format"),
    ],
)
def test_what_is_no_matrix_of_counts_is_passed_over(name: str, more: dict[str, Any], reason: str) -> None:
    chosen = _chosen(tree(entry(1, name, **more), entry(2, "good.csv")))
    assert _names(chosen) == ["good.csv"]
    assert reason in _why(chosen)[name]


@pytest.mark.parametrize(
    "name",
    [
        *("raw_counts_normalized.csv", "non-normalized.txt.gz", "not_normalized.csv", "catalog.csv", "logan.csv.gz"),
        *("annotated_raw_counts.csv.gz", "cluster3_UMI_counts.csv", "unlabeled_counts.csv", "T_cells.csv.gz"),
        *("expression_all_genes.tsv.gz", "rna_and_adt.h5", "nameless"),
    ],
)
def test_a_name_is_not_read_for_more_than_it_says(name: str) -> None:
    assert _names(_chosen(tree(entry(1, name, format="csv")))) == [name]


def test_what_measures_no_expression_is_passed_over() -> None:
    chosen = _chosen(tree(entry(1, "peaks.h5"), library="10x scATAC-seq"), tree(entry(2, "rna.h5")))
    assert _names(chosen) == ["rna.h5"]
    assert _why(chosen) == {"peaks.h5": "10x scATAC-seq measures no expression"}


def test_each_species_has_its_own_set() -> None:
    human = tree(entry(1, "h.loom"), entry(2, "h.csv", fileSource="GEO"))
    mouse = tree(entry(3, "m.csv", fileSource="GEO"), species="Mus musculus")
    chosen = _chosen(human, mouse)
    assert chosen.taken == ("homo_sapiens: 1 file of DCP/2 Analysis (loom).", "mus_musculus: 1 file of GEO (csv).")
    assert _names(chosen) == ["h.loom", "m.csv"]


def test_a_file_of_two_species_is_read_where_one_of_them_has_no_other() -> None:
    mixed = entry(3, "both.h5ad", fileSource="GEO")
    mixture = [tree(mixed), tree(mixed, species="Mus musculus")]
    human, mouse = tree(entry(1, "h.loom")), tree(entry(2, "m.loom"), species="Mus musculus")
    assert _names(_chosen(*mixture)) == ["both.h5ad"]
    assert _names(_chosen(human, *mixture)) == ["h.loom", "both.h5ad"]
    alone = _chosen(human, mouse, *mixture)
    assert _names(alone) == ["h.loom", "m.loom"]
    assert _why(alone) == {"both.h5ad": "DCP/2 Analysis comes before GEO"}


def test_the_dcps_own_comes_first_also_where_it_holds_two_species() -> None:
    mixed = entry(3, "both.loom")
    mixture = [tree(mixed), tree(mixed, species="Mus musculus")]
    human = tree(entry(1, "h.csv", fileSource="GEO"))
    mouse = tree(entry(2, "m.csv", fileSource="GEO"), species="Mus musculus")
    chosen = _chosen(human, mouse, *mixture)
    assert chosen.taken == ("homo_sapiens and mus_musculus: 1 file of DCP/2 Analysis (loom).",)
    assert set(_why(chosen).values()) == {"DCP/2 Analysis comes before GEO"}


def test_a_file_of_no_species_that_is_said_is_read_where_there_is_no_other() -> None:
    silent = {"libraryConstructionApproach": {"10x": [entry(1, "x.csv", fileSource="GEO")]}}
    assert _names(_chosen(silent)) == ["x.csv"]
    chosen = _chosen(silent, tree(entry(2, "h.csv", fileSource="GEO")))
    assert _names(chosen) == ["h.csv"]
    assert _why(chosen) == {"x.csv": "its species is not said, and that of 1 file of GEO (csv) is"}


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("matrix.mtx.zip", "all.h5ad"),
        ("filtered_feature_bc_matrix.h5", "GSE1_RAW.tar"),
        ("raw_counts.csv.gz", "seurat_integrated.h5ad"),
        ("raw.h5ad", "other_counts.csv"),
        ("integrated.h5ad", "GSE1_RAW.tar"),
        ("GSE1_RAW.tar", "GSE1_expression.csv.gz"),
    ],
)
def test_what_holds_raw_counts_more_surely_comes_first(better: str, worse: str) -> None:
    chosen = _chosen(tree(entry(1, worse, fileSource="GEO"), entry(2, better, fileSource="GEO")))
    assert _names(chosen) == [better]
    assert "holds raw counts more surely" in _why(chosen)[worse]


def test_files_of_one_set_may_be_packed_and_delimited_each_in_its_way() -> None:
    names = ["GSM1_counts.csv", "GSM2_counts.csv.gz", "GSM3_counts.txt.gz", "GSM4_counts.tsv.gz"]
    chosen = _chosen(tree(*(entry(number, name, fileSource="GEO") for number, name in enumerate(names))))
    assert _names(chosen) == names
    again = _chosen(tree(entry(1, "a_counts.csv"), entry(2, "a_counts.tsv.gz", version="2024")))
    assert _names(again) == ["a_counts.tsv.gz"]
    assert _why(again) == {"a_counts.csv": "a_counts.tsv.gz holds the same cells in another format"}


def test_libraries_of_a_project_may_be_in_formats_of_their_own() -> None:
    chosen = _chosen(tree(entry(1, "a.loom")), tree(entry(2, "b.h5ad"), library="Smart-seq2"))
    assert _names(chosen) == ["a.loom", "b.h5ad"]


def test_a_matrix_with_its_empty_droplets_is_passed_over_beside_one_without() -> None:
    names = ["s1_raw_feature_bc_matrix.h5", "s1_filtered_feature_bc_matrix.h5", "s2_raw_feature_bc_matrix.h5"]
    chosen = _chosen(tree(*(entry(number, name) for number, name in enumerate(names))))
    assert _names(chosen) == names[1:]
    assert _why(chosen) == {names[0]: f"{names[1]} is there, without its empty droplets"}


def test_the_same_content_is_read_once() -> None:
    chosen = _chosen(tree(entry(1, "a.csv", b"x"), entry(2, "b.csv", b"x"), entry(3, "c.csv", b"y")))
    assert _names(chosen) == ["a.csv", "c.csv"]
    assert _why(chosen) == {"b.csv": "its content is that of a.csv"}


def test_several_files_of_one_source_are_read_together_and_each_once() -> None:
    files = [entry(number, f"library-{number}.loom") for number in (3, 1, 2)]
    chosen = _chosen(tree(*files), tree(files[0], library="10x 3' v3"))
    assert _names(chosen) == ["library-1.loom", "library-2.loom", "library-3.loom"]
    assert chosen.sets[0].files[2].libraries == {"10X v2 sequencing", "10x 3' v3"}


def test_of_equals_the_newest_is_taken() -> None:
    old, new = entry(1, "a.loom"), entry(2, "b.h5ad", version="2024-01-01T00:00:00.000000Z")
    chosen = _chosen(tree(old, new))
    assert _names(chosen) == ["b.h5ad"]
    assert _why(chosen) == {"a.loom": "b.h5ad holds the same cells in another format"}
    newer = _chosen(tree(entry(1, "a.loom", fileSource="A")), tree(entry(2, "b.loom", fileSource="B", version="2024")))
    assert _why(newer) == {"a.loom": "1 file of B (loom) is newer"}
    equal = _chosen(tree(entry(1, "a.loom", fileSource="A")), tree(entry(2, "b.loom", fileSource="B")))
    assert _why(equal) == {"a.loom": "1 file of B (loom) is taken, which is as new"}


def test_of_two_versions_of_a_file_the_newer_is_taken() -> None:
    chosen = _chosen(tree(entry(1, "new.loom", version="2024-01-01"), entry(1, "old.loom", version="2023-12-31")))
    assert _names(chosen) == ["new.loom"]
    assert _why(chosen) == {"old.loom": "a newer version of it is there"}


def test_a_bare_matrix_comes_with_its_tables_or_not_at_all() -> None:
    names = ["matrix.mtx.gz", "barcodes.tsv.gz", "features.tsv.gz"]
    files = [entry(number, name, contentDescription=None) for number, name in enumerate(names)]
    assert sorted(_names(_chosen(tree(*files)))) == sorted(names)
    lacking = _chosen(tree(*files[:2]))
    assert _names(lacking) == []
    assert _why(lacking) == {
        "matrix.mtx.gz": "its tables of genes and cells are not both there",
        "barcodes.tsv.gz": "it lists genes or cells of no matrix that is read",
    }


def test_each_of_several_bare_matrices_needs_tables_of_its_own() -> None:
    whole = ["s1_matrix.mtx", "s1_genes.tsv", "s1_barcodes.tsv"]
    chosen = _chosen(tree(*(entry(n, name) for n, name in enumerate([*whole, "s2_matrix.mtx", "s2_genes.tsv"]))))
    assert _names(chosen) == whole
    assert _why(chosen).keys() == {"s2_matrix.mtx", "s2_genes.tsv"}
    by_axis = ["E-1.mtx", "E-1.mtx_rows", "E-1.mtx_cols"]
    assert _names(_chosen(tree(*(entry(n, name) for n, name in enumerate(by_axis))))) == by_axis


def test_the_choice_does_not_hang_on_the_order_of_the_list() -> None:
    files = [
        entry(number, f"{number}.{ending}") for number, ending in enumerate(["loom", "h5ad", "csv", "zip", "loom"])
    ]
    assert _chosen(tree(*files)).sets == _chosen(tree(*reversed(files))).sets
