"""Projects as the Azul service lists them, over the wire."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from producer.sources.azul import AzulSource
from producer.sources.portal import TRIES, Portal
from producer.sources.project import Candidate, Project, Unusable
from shared.errors import AccessDeniedError, SourceUnavailableError
from tests.conftest import DATA
from tests.portals.azul import CATALOG, Azul, azul, document, entry, hit, tree, uuid
from tests.portals.scripted import Reply


@pytest.fixture
def service() -> Iterator[Azul]:
    """The stand-in."""
    with azul() as service:
        yield service


def _listed(service: Azul, project_id: str = "") -> Iterator[Candidate]:
    return AzulSource(Portal(service.url, sleep=lambda _: None)).projects(project_id)


def _one(service: Azul, matrices: object = None, contributed: object = None, **more: Any) -> Candidate:
    service.hits = [hit(uuid(1), matrices, contributed, **more)]
    (found,) = _listed(service)
    return found


def test_all_pages_of_the_default_catalog_are_read_a_hundred_projects_each(service: Azul) -> None:
    service.hits = [hit(uuid(number), tree(entry(number, "m.loom"))) for number in range(250)]
    found = list(_listed(service))
    assert [each.project_id for each in found] == [uuid(number) for number in range(250)]
    assert service.asked == ["/index/catalogs"] + ["/index/projects"] * 3
    queries = [parse_qs(urlsplit(request.path).query) for request in service.portal.asked[1:]]
    assert all(query["size"] == ["100"] and query["catalog"] == [CATALOG] for query in queries)


def test_projects_come_one_at_a_time_and_no_page_before_it_is_wanted(service: Azul) -> None:
    service.hits = [hit(uuid(number)) for number in range(200)]
    listing = _listed(service)
    next(listing)
    assert service.asked == ["/index/catalogs", "/index/projects"]


def test_a_recorded_page_of_a_project_without_matrices_says_so(service: Azul) -> None:
    page = json.loads((DATA / "portals" / "azul_projects_page.json").read_text())
    service.first = [document({"default_catalog": CATALOG}), document(page)]
    (found,) = _listed(service)
    assert found == Unusable(
        "e8642221-4c2c-4fd7-b926-a68bce363c88",
        "matrix_not_found",
        "no matrix to read. The portal lists no files of it.",
    )


def test_a_recorded_project_is_asked_for_by_its_id(service: Azul) -> None:
    recorded = json.loads((DATA / "portals" / "azul_project.json").read_text())
    service.hits = [recorded]
    (found,) = _listed(service, recorded["entryId"])
    assert (found.project_id, isinstance(found, Unusable)) == (recorded["entryId"], True)


@pytest.mark.parametrize("project_id", [uuid(7), "no-uuid"])
def test_a_project_that_is_not_listed_is_none(service: Azul, project_id: str) -> None:
    assert list(_listed(service, project_id)) == []


def test_a_matrix_is_named_with_all_that_is_known_of_it(service: Azul) -> None:
    real = json.loads((DATA / "portals" / "azul_matrices_tree.json").read_text())
    found = _one(service, real["matrices"], real["contributed_analyses"])
    assert isinstance(found, Project)
    (matrix,) = found.matrices
    assert matrix.uri.startswith("https://service.azul.data.humancellatlas.org/repository/files/bd98f428-881e-501a-")
    assert matrix.uri.endswith("&fileName=wong-retina-human-eye-10XV2.loom")
    assert matrix.version == (
        "bd98f428-881e-501a-ac16-24f27a68ce2f 2021-02-11T23:11:45.000000Z"
        " sha256:6a6483c2e78da77017e912a4d350f141bda1ec7b269f20ca718b55145ee5c83c"
    )
    assert (matrix.species, matrix.size_bytes) == ("homo_sapiens", 255_471_211)
    assert matrix.library_construction == ("10X v2 sequencing",)
    assert found.choice.taken == ("homo_sapiens: 1 file of DCP/2 Analysis (loom).",)
    assert len(found.choice.passed_over) == 11


@pytest.mark.parametrize(
    ("addresses", "uri"),
    [
        ({"azul_mirror_uri": "s3://m/file/x", "azul_url": "https://a/f?v=1", "url": "https://u"}, "s3://m/file/x"),
        (
            {"azul_mirror_uri": None, "azul_url": "https://a/f?v=1", "url": "https://u"},
            "https://a/f?v=1&fileName=m.loom",
        ),
        ({"url": "https://u/f?v=1"}, "https://u/f?v=1&fileName=m.loom"),
        ({"drs_uri": "drs://x"}, None),
    ],
)
def test_the_mirror_is_asked_before_the_portal(service: Azul, addresses: dict[str, Any], uri: str | None) -> None:
    found = _one(service, tree(entry(2, "m.loom", **addresses)))
    assert isinstance(found, Project)
    built = (
        f"{service.url}/repository/files/{uuid(2)}?catalog={CATALOG}&version=2021-02-11T23%3A11%3A45.000000Z"
        "&fileName=m.loom"
    )
    assert found.matrices[0].uri == (uri or built)


def test_a_bare_matrix_is_asked_for_by_name_even_where_a_mirror_has_it(service: Azul) -> None:
    names = ["matrix.mtx.gz", "barcodes.tsv.gz", "genes.tsv.gz"]
    found = _one(service, tree(*(entry(n, name, azul_mirror_uri="s3://m/x") for n, name in enumerate(names))))
    assert isinstance(found, Project)
    assert {matrix.uri.rpartition("fileName=")[2] for matrix in found.matrices} == set(names)


def test_what_a_tree_does_not_say_the_project_does(service: Azul) -> None:
    more = {
        "protocols": [
            {"libraryConstructionApproach": ["Smart-seq2", None]},
            {"instrumentManufacturerModel": ["Illumina NextSeq 500"]},
            {"libraryConstructionApproach": ["Drop-seq"]},
        ],
        "donorOrganisms": [{"genusSpecies": ["Mus musculus"]}, {"genusSpecies": [None]}],
    }
    found = _one(service, [entry(1, "m.loom")], **more)
    assert isinstance(found, Project)
    assert found.matrices[0].library_construction == ("Drop-seq", "Smart-seq2")
    assert found.matrices[0].species == "mus_musculus"
    said = _one(service, tree(entry(1, "m.loom")), **more)
    assert isinstance(said, Project)
    assert said.matrices[0].library_construction == ("10X v2 sequencing",)


def test_a_project_of_two_species_is_one_project(service: Azul) -> None:
    human, mouse = tree(entry(1, "h.loom")), tree(entry(2, "m.loom"), species="Mus musculus")
    human["genusSpecies"] |= mouse["genusSpecies"]
    found = _one(service, human)
    assert isinstance(found, Project)
    assert [matrix.species for matrix in found.matrices] == ["homo_sapiens", "mus_musculus"]


def test_a_project_without_a_matrix_says_what_it_has_instead(service: Azul) -> None:
    files = [entry(number, f"{number}.bam") for number in range(5)]
    found = _one(service, tree(*files))
    assert isinstance(found, Unusable)
    assert (found.outcome, found.code) == ("unusable", "matrix_not_found")
    assert found.reason == (
        "no matrix to read. Passed over (bam is no format of count matrices): 0.bam, 1.bam, 2.bam, 3.bam, 4.bam."
    )
    assert len(found.choice.passed_over) == 5


@pytest.mark.parametrize(
    ("broken", "name", "told"),
    [
        ({"entryId": uuid(1)}, uuid(1), "projects: Field required"),
        ({"entryId": "../x", "projects": [{}]}, "../x", "entryId"),
        ({"projects": [{}]}, "?", "entryId: Field required"),
        ("text", "?", "as a whole"),
        (hit(uuid(1), "no tree"), uuid(1), "its files are no tree"),
    ],
)
def test_a_malformed_project_fails_alone(service: Azul, broken: Any, name: str, told: str) -> None:
    service.hits = [broken, hit(uuid(2), tree(entry(2, "m.loom")))]
    failed, fine = _listed(service)
    assert isinstance(failed, Unusable)
    assert (failed.name, failed.outcome, failed.code) == (name, "failed", "source_unavailable")
    assert told in failed.reason
    assert isinstance(fine, Project)


@pytest.mark.parametrize("address", ["ftp://x", "//x", 7, "", None])
def test_an_address_that_is_none_is_made_of_the_files_id(service: Azul, address: object) -> None:
    found = _one(service, tree(entry(1, "m.loom", azul_url=address)))
    assert isinstance(found, Project)
    assert found.matrices[0].uri.startswith(f"{service.url}/repository/files/{uuid(1)}?catalog={CATALOG}&")


def test_an_address_without_a_query_is_given_the_files_name(service: Azul) -> None:
    found = _one(service, tree(entry(1, "m.loom", azul_url="https://x.org/f#part")))
    assert isinstance(found, Project)
    assert found.matrices[0].uri == "https://x.org/f?fileName=m.loom"


@pytest.mark.parametrize(
    "more",
    [
        {"protocols": None},
        {"protocols": [None, "x", {"libraryConstructionApproach": None}]},
        {"donorOrganisms": "none"},
    ],
)
def test_what_nothing_hangs_on_may_be_malformed(service: Azul, more: dict[str, Any]) -> None:
    service.hits = [hit(uuid(1), tree(entry(1, "m.loom", size=-1, contentDescription="x", isIntermediate="?")), **more)]
    (found,) = _listed(service)
    assert isinstance(found, Project)
    assert found.matrices[0].size_bytes is None


def test_a_label_is_carried_however_untidy_it_is(service: Azul) -> None:
    found = _one(service, tree(entry(1, "m.loom"), library="10x 3' v2\t\n"))
    assert isinstance(found, Project)
    assert found.matrices[0].library_construction == ("10x 3' v2",)
    long = _one(service, tree(entry(1, "m.loom"), library="x" * 300))
    assert isinstance(long, Project)
    assert len(long.matrices[0].library_construction[0]) == 200


def test_a_project_on_several_pages_is_listed_once(service: Azul) -> None:
    service.page_size = 2
    service.hits = [hit(uuid(number), tree(entry(1, "m.loom"))) for number in (1, 2, 2, 3)]
    assert [each.project_id for each in _listed(service)] == [uuid(1), uuid(2), uuid(3)]


def test_an_empty_catalog_has_no_projects(service: Azul, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(_listed(service)) == []
    assert "lists no projects" in capsys.readouterr().out


@pytest.mark.parametrize("catalogs", [{}, {"default_catalog": None}, [], {"default_catalog": "dcp1&x=y"}])
def test_a_service_without_a_default_catalog_is_unavailable(service: Azul, catalogs: object) -> None:
    service.first = [document(catalogs)]
    with pytest.raises(SourceUnavailableError, match=r"/index/catalogs: the answer is not as documented"):
        list(_listed(service))


def test_a_service_that_fails_half_way_says_how_far_it_came(service: Azul) -> None:
    service.hits = [hit(uuid(number)) for number in range(250)]
    listing = _listed(service)
    for _ in range(100):
        next(listing)
    service.first = [Reply(503)] * TRIES
    with pytest.raises(SourceUnavailableError, match=f"100 of 250 projects of catalog {CATALOG} were listed before"):
        next(listing)


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ({"hits": []}, "pagination: Field required"),
        ({"hits": {}, "pagination": {}}, "hits"),
        (
            {"hits": [hit(uuid(1))], "pagination": {"next": "https://elsewhere.example.org/index/projects"}},
            "not followed",
        ),
        ({"hits": [], "pagination": {"next": "/index/projects?x=1"}}, "in circles"),
        ([], "as a whole"),
    ],
)
def test_a_malformed_page_ends_the_listing(service: Azul, page: object, told: str) -> None:
    service.first = [document({"default_catalog": CATALOG}), document(page)]
    with pytest.raises(SourceUnavailableError, match=told):
        list(_listed(service))


def test_pages_that_go_round_in_circles_end_the_listing(service: Azul) -> None:
    again = document({"hits": [hit(uuid(1))], "pagination": {"next": f"{service.url}/index/projects?x=1"}})
    service.first = [document({"default_catalog": CATALOG}), *[again] * 3]
    with pytest.raises(SourceUnavailableError, match="circles"):
        list(_listed(service))


@pytest.mark.parametrize(("status", "error"), [(404, SourceUnavailableError), (403, AccessDeniedError)])
def test_a_service_that_is_another_one_is_told(service: Azul, status: int, error: type[Exception]) -> None:
    service.first = [Reply(status)]
    with pytest.raises(error, match=f"/index/catalogs: the portal answered {status}"):
        list(_listed(service))
