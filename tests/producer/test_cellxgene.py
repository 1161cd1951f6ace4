"""Collections as CELLxGENE lists them, over the wire."""

from collections.abc import Iterator
from typing import Any

import pytest

from producer.sources.cellxgene import CellxgeneSource
from producer.sources.portal import Portal
from producer.sources.project import Candidate, Project, Unusable
from shared.errors import SourceUnavailableError
from tests.portals import scripted
from tests.portals.azul import document, uuid
from tests.portals.scripted import serving

HUMAN = {"label": "Homo sapiens", "ontology_term_id": "NCBITaxon:9606"}
TENX = {"label": "10x 3' v3", "ontology_term_id": "EFO:0009922"}
ATAC = {"label": "10x scATAC-seq", "ontology_term_id": "EFO:0030007"}


def _dataset(number: int, collection: int = 1, **more: Any) -> dict[str, Any]:
    url = f"https://datasets.cellxgene.cziscience.com/{uuid(number)}.h5ad"
    return {
        "collection_id": uuid(collection),
        "dataset_id": uuid(number),
        "dataset_version_id": f"version-{number}",
        "title": f"Dataset {number}",
        "cell_count": 10,
        "assay": [TENX],
        "organism": [HUMAN],
        "tissue": [],
        "assets": [{"filetype": "RDS", "url": "x", "filesize": 5}, {"filetype": "H5AD", "url": url, "filesize": 7}],
    } | more


@pytest.fixture
def server() -> Iterator[scripted.Portal]:
    """What is asked."""
    with serving() as portal:
        yield portal


def _listed(server: scripted.Portal, datasets: object) -> list[Candidate]:
    server.answers("/curation/v1/datasets", document(datasets))
    return list(CellxgeneSource(Portal(f"{server.url}/curation/v1", sleep=lambda _: None)).projects())


def test_one_request_lists_all_collections_with_their_datasets(server: scripted.Portal) -> None:
    found = _listed(server, [_dataset(1), _dataset(2, 2), _dataset(3)])
    assert [each.project_id for each in found] == [uuid(1), uuid(2)]
    assert isinstance(found[0], Project)
    first, second = found[0].matrices
    assert first.uri == f"https://datasets.cellxgene.cziscience.com/{uuid(1)}.h5ad"
    assert (first.version, first.size_bytes, first.species) == ("version-1", 7, "homo_sapiens")
    assert first.library_construction == ("10x 3' v3",)
    assert second.version == "version-3"
    assert len(server.asked) == 1


def test_a_collection_is_asked_for_by_its_id(server: scripted.Portal) -> None:
    datasets = [{name: value for name, value in _dataset(1).items() if name != "collection_id"}]
    server.answers(f"/collections/{uuid(9)}", document({"collection_id": uuid(9), "datasets": datasets}))
    source = CellxgeneSource(Portal(server.url))
    (found,) = source.projects(uuid(9))
    assert isinstance(found, Project)
    assert (found.project_id, len(found.matrices)) == (uuid(9), 1)
    assert list(source.projects("unknown")) == []


def test_a_label_by_its_id_and_several_species_are_understood(server: scripted.Portal) -> None:
    old = {"label": "10X renamed", "ontology_term_id": "EFO:0009899"}
    mouse = {"label": "Mus musculus", "ontology_term_id": "NCBITaxon:10090"}
    (found,) = _listed(server, [_dataset(1, assay=[old, ATAC], organism=[HUMAN, mouse])])
    assert isinstance(found, Project)
    assert found.matrices[0].library_construction == ("10x 3' v2", "10x scATAC-seq")
    assert found.matrices[0].species is None


def test_what_cannot_be_read_is_passed_over_and_said(server: scripted.Portal) -> None:
    (found,) = _listed(
        server,
        [
            _dataset(1),
            _dataset(2, assets=[]),
            _dataset(3, assay=[ATAC]),
            _dataset(4, dataset_version_id=None),
            _dataset(5, assets=[{"filetype": "H5AD", "url": "ftp://x"}]),
        ],
    )
    assert isinstance(found, Project)
    assert len(found.matrices) == 1
    reasons = {each.name.partition(" (")[0]: each.reason for each in found.choice.passed_over}
    assert reasons["Dataset 2"] == "there is no H5AD of it"
    assert reasons["Dataset 3"] == "10x scATAC-seq measures no expression"
    assert "dataset_version_id" in reasons["Dataset 4"]
    assert "s3:// or https://" in reasons["Dataset 5"]


def test_a_collection_without_a_matrix_is_unusable(server: scripted.Portal) -> None:
    (found,) = _listed(server, [_dataset(1, assets=[])])
    assert isinstance(found, Unusable)
    assert (found.name, found.code) == (uuid(1), "matrix_not_found")
    assert found.reason.startswith("no matrix to read. Passed over (there is no H5AD of it): Dataset 1")


def test_what_is_no_dataset_among_others_is_left_out(server: scripted.Portal) -> None:
    (found,) = _listed(server, [None, "text", _dataset(1, title=None, assay=[{"label": None}])])
    assert isinstance(found, Project)


def test_a_collection_that_is_all_malformed_failed(server: scripted.Portal) -> None:
    (found,) = _listed(server, [_dataset(1, dataset_version_id="")])
    assert isinstance(found, Unusable)
    assert (found.outcome, found.code) == ("failed", "source_unavailable")


@pytest.mark.parametrize("answer", [{}, "text", None])
def test_what_is_no_list_of_datasets_ends_the_listing(server: scripted.Portal, answer: object) -> None:
    with pytest.raises(SourceUnavailableError, match="no list of datasets"):
        _listed(server, answer)
