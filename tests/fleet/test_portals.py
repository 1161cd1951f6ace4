"""The Human Cell Atlas as the source, from its portal's pages to published figures."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from mypy_boto3_sqs.type_defs import MessageTypeDef

from shared.manifest import Manifest
from tests.conftest import DATA
from tests.fleet.conftest import Command, Fleet, Site, attributes_of, eventually, letters, put_matrix, site
from tests.portals.azul import Azul, azul, document, entry, hit, tree, uuid
from tests.tiny import Tiny

LOOM, MIRRORED, BARE, CORRUPT, MENDED, FORGED, COLLECTION = map(uuid, range(1, 8))
BLOOD = (DATA / "matrices" / "pbmc300.loom").read_bytes()


@dataclass(frozen=True)
class Portal:
    """A fleet whose portal is a stand-in, and a worker that runs all the time."""

    site: Site
    fleet: Fleet
    service: Azul
    worker: Command

    def plan(self, *arguments: str) -> dict[str, dict[str, Any]]:
        """Run the producer; what became of each project."""
        done = self.fleet.run("producer.cli", "run", "--json", *arguments)
        rows = [json.loads(line) for line in done.stdout.splitlines()[:-1]]
        return {row["project_id"]: row for row in rows}

    def letters(self) -> list[MessageTypeDef]:
        """Dead letters."""
        return letters(self.site.sqs, self.site.stack)


@pytest.fixture(scope="module")
def portal(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """It lists nothing yet."""
    with site(endpoint, tmp_path_factory.mktemp("portal")) as place, azul() as service:
        told = {"DPSS_SOURCE": "fresh", "DPSS_PORTAL_URL": service.url, "DPSS_LOG_FORMAT": "json"}
        fleet = Fleet(place.stack, place.fleet.folder, place.fleet.environ | told)
        with fleet.worker() as worker:
            yield Portal(place, fleet, service, worker)


def _held(service: Azul, number: int, name: str, body: bytes, **more: Any) -> dict[str, Any]:
    return service.holds(entry(number, name, body, **more), body)


def _loom(service: Azul) -> dict[str, Any]:
    """Two files of the same cells; the one that is read has to be prepared, and its connection is cut on the way."""
    service.slow.add(uuid(10))
    body = (DATA / "matrices" / "pbmc300.loom").read_bytes()
    service.cuts[uuid(10)] = len(body) // 2
    return tree(_held(service, 10, "blood.loom", body), entry(11, "blood.mtx.zip", fileSource="DCP/1 Matrix Service"))


def _mirrored(site: Site, body: bytes) -> dict[str, Any]:
    key = f"file/{hashlib.sha256(body).hexdigest()}.sha256"
    return entry(20, "blood.mtx.zip", body, azul_mirror_uri=put_matrix(site.s3, site.stack, key, body))


def _bare(service: Azul) -> list[dict[str, Any]]:
    folder = DATA / "matrices" / "cellranger3"
    return [_held(service, 30 + n, path.name, path.read_bytes()) for n, path in enumerate(sorted(folder.iterdir()))]


@pytest.fixture(scope="module")
def listed(portal: Portal, tiny: dict[str, Tiny]) -> dict[str, object]:
    """Real matrices behind the portal's addresses, one of them in its mirror, one of them cut short for good."""
    return {
        LOOM: _loom(portal.service),
        MIRRORED: tree(_mirrored(portal.site, tiny["blood"].contents)),
        BARE: tree(*_bare(portal.service), library="10x 3' v3"),
        CORRUPT: tree(_held(portal.service, 50, "cut.csv.gz", tiny["cut short"].contents)),
    }


def test_a_day_of_the_portal_ends_with_figures_and_the_next_sends_nothing(
    portal: Portal, listed: dict[str, object]
) -> None:
    # when the daily run and a worker have done their work
    portal.service.hits = [hit(project_id, matrices) for project_id, matrices in listed.items()]
    assert {row["outcome"] for row in portal.plan().values()} == {"enqueued"}
    portal.site.wait_until_settled()
    # then every project has its figures, and its manifest says what was read and what was not
    made = {each: portal.site.published(each) for each in listed}
    found = {each: manifest for each, manifest in made.items() if manifest}
    assert {manifest.source for manifest in found.values()} == {"fresh"}
    assert {each: _libraries(manifest) for each, manifest in found.items()} == {
        LOOM: [(f"{LOOM}.homo_sapiens", "10X", 300)],
        MIRRORED: [(f"{MIRRORED}.homo_sapiens", "10X", 30)],
        BARE: [(f"{BARE}.homo_sapiens", "10X", 1_107)],
    }
    assert found[LOOM].choice == (
        "homo_sapiens: 1 file of DCP/2 Analysis (loom).",
        "Passed over (DCP/2 Analysis comes before DCP/1 Matrix Service): blood.mtx.zip.",
    )
    mirrored = found[MIRRORED].inputs[0]
    assert mirrored.version == f"{uuid(20)} 2021-02-11T23:11:45.000000Z sha256:{mirrored.sha256}"
    # and what failed for good is told, and sent no more
    (letter,) = portal.letters()
    assert attributes_of(letter)["dpss.reason"] == "corrupt_matrix"
    tomorrow = portal.plan()
    assert {row["outcome"] for each, row in tomorrow.items() if each != CORRUPT} == {"up_to_date"}
    assert tomorrow[CORRUPT]["outcome"] == "unusable"
    assert tomorrow[CORRUPT]["reason"].startswith("failed before: corrupt_matrix")


def _libraries(manifest: Manifest) -> list[tuple[str, str, object]]:
    return [
        (entity.entity, library.library, library.statistics["cells"])
        for entity in manifest.entities
        for library in entity.libraries
    ]


def test_a_replayed_letter_that_names_an_older_file_changes_nothing(portal: Portal, tiny: dict[str, Tiny]) -> None:
    # given a project that failed for good, whose file was mended on the portal and published since
    portal.service.hits = [hit(MENDED, tree(_held(portal.service, 80, "cut.csv.gz", tiny["cut short"].contents)))]
    portal.plan()
    portal.site.wait_until_settled()
    portal.service.hits = [hit(MENDED, tree(_held(portal.service, 81, "whole.h5", tiny["chr21"].contents)))]
    assert portal.plan()[MENDED]["outcome"] == "enqueued"
    portal.site.wait_until_settled()
    # when its letter is replayed
    assert portal.fleet.run("producer.cli", "dlq", "replay", "--project", MENDED).returncode == 0
    portal.site.wait_until_settled()
    # then the new figures stay
    mended = portal.site.published(MENDED)
    assert mended
    assert mended.inputs[0].uri.endswith("fileName=whole.h5")
    assert MENDED not in {json.loads(letter["Body"])["project_id"] for letter in portal.letters()}


def test_a_collection_of_cellxgene_ends_with_figures_of_its_datasets(portal: Portal, tiny: dict[str, Tiny]) -> None:
    # given two datasets of a collection, which say their assay by its id
    assay = [{"label": "an older name", "ontology_term_id": "EFO:0009899"}]
    organism = [{"label": "Mus musculus", "ontology_term_id": "NCBITaxon:10090"}]
    portal.service.bodies |= {uuid(70): tiny["pancreas"].contents, uuid(71): tiny["pancreas"].contents}
    datasets = [
        {
            "collection_id": COLLECTION,
            "dataset_id": uuid(number),
            "dataset_version_id": f"v{number}",
            "assay": assay,
            "organism": organism,
            "assets": [{"filetype": "H5AD", "url": f"{portal.service.url}/storage/{uuid(number)}", "filesize": 1}],
        }
        for number in (70, 71)
    ]
    portal.service.portal.answers("/datasets", document(datasets))
    # when it is planned and worked
    planned = portal.plan("--source", "cellxgene")
    portal.site.wait_until_settled()
    # then its cells are summarised together
    assert planned[COLLECTION]["outcome"] == "enqueued"
    manifest = portal.site.published(COLLECTION)
    assert manifest
    assert manifest.source == "cellxgene"
    assert [(i.version, i.species) for i in manifest.inputs] == [("v70", "mus_musculus"), ("v71", "mus_musculus")]
    assert _libraries(manifest) == [(f"{COLLECTION}.mus_musculus", "10X", 60)]
    assert portal.plan("--source", "cellxgene")[COLLECTION]["outcome"] == "up_to_date"


def test_a_file_that_is_not_what_the_portal_says_is_never_published(portal: Portal, tiny: dict[str, Tiny]) -> None:
    forged = _held(portal.service, 60, "forged.h5", tiny["chr21"].contents, sha256="ab" * 32)
    portal.service.hits = [hit(FORGED, tree(forged))]
    assert portal.plan()[FORGED]["outcome"] == "enqueued"
    told = eventually(lambda: portal.worker.said("failed", project_id=FORGED), "the refusal of the file")
    assert told["reason"] == "corrupt_matrix"
    assert f"not {'ab' * 32}" in told["error"]
    assert portal.site.published(FORGED) is None
