"""The Human Cell Atlas as the source, from its portal's pages to published figures."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from mypy_boto3_s3 import S3Client
from mypy_boto3_sqs import SQSClient

from tests.conftest import DATA
from tests.fleet.conftest import POLITE_SECONDS, Fleet, attributes_of, depth, eventually, letters, published
from tests.portals.azul import Azul, azul, document, entry, hit, tree, uuid
from tests.tiny import Tiny

LOOM, MIRRORED, BARE, SPECIES, CORRUPT, FORGED, COLLECTION = map(uuid, range(1, 8))
BLOOD = (DATA / "matrices" / "pbmc300.loom").read_bytes()


@dataclass(frozen=True)
class Portal:
    """A fleet whose portal is a stand-in."""

    fleet: Fleet
    service: Azul

    def plan(self, *arguments: str) -> dict[str, dict[str, Any]]:
        """Run the producer; what became of each project."""
        done = self.fleet.run("producer.cli", "run", "--json", *arguments)
        rows = [json.loads(line) for line in done.stdout.splitlines()[:-1]]
        return {row["project_id"]: row for row in rows}

    def wait_until_settled(self, sqs: SQSClient) -> None:
        """Until the worker has left no message on the work queue."""
        eventually(lambda: depth(sqs, self.fleet.stack.queue_url) == (0, 0), "the end of all messages", POLITE_SECONDS)


@pytest.fixture
def portal(fleet: Fleet, tiny: dict[str, Tiny], s3: S3Client) -> Iterator[Portal]:
    """Real matrices behind a portal's addresses, one of them in its mirror, one of them cut short for good."""
    with azul() as service:
        listed = {
            LOOM: _loom(service),
            MIRRORED: tree(_mirrored(tiny["blood"].contents, fleet, s3)),
            BARE: tree(*_bare(service), library="10x 3' v3"),
            SPECIES: _two_species(service, tiny),
            CORRUPT: tree(_held(service, 50, "cut.csv.gz", tiny["cut short"].contents)),
        }
        service.hits = [hit(project_id, matrices) for project_id, matrices in listed.items()]
        environ = fleet.environ | {"DPSS_SOURCE": "fresh", "DPSS_PORTAL_URL": service.url, "DPSS_LOG_FORMAT": "json"}
        yield Portal(Fleet(fleet.stack, fleet.folder, environ), service)


def _held(service: Azul, number: int, name: str, body: bytes, **more: Any) -> dict[str, Any]:
    return service.holds(entry(number, name, body, **more), body)


def _loom(service: Azul) -> dict[str, Any]:
    """Two files of the same cells, of which one is read; its connection is cut on the way."""
    body = (DATA / "matrices" / "pbmc300.loom").read_bytes()
    service.cuts[uuid(10)] = len(body) // 2
    return tree(_held(service, 10, "blood.loom", body), entry(11, "blood.mtx.zip", fileSource="DCP/1 Matrix Service"))


def _mirrored(body: bytes, fleet: Fleet, s3: S3Client) -> dict[str, Any]:
    key = f"file/{hashlib.sha256(body).hexdigest()}.sha256"
    s3.put_object(Bucket=fleet.stack.matrix_bucket, Key=key, Body=body)
    return entry(20, "blood.mtx.zip", body, azul_mirror_uri=f"s3://{fleet.stack.matrix_bucket}/{key}")


def _bare(service: Azul) -> list[dict[str, Any]]:
    folder = DATA / "matrices" / "cellranger3"
    return [_held(service, 30 + n, path.name, path.read_bytes()) for n, path in enumerate(sorted(folder.iterdir()))]


def _two_species(service: Azul, tiny: dict[str, Tiny]) -> dict[str, Any]:
    human = tree(_held(service, 40, "human.h5", tiny["chr21"].contents))
    mouse = tree(_held(service, 41, "mouse.h5ad", tiny["pancreas"].contents), species="Mus musculus")
    return {"genusSpecies": human["genusSpecies"] | mouse["genusSpecies"]}


def test_a_day_of_the_portal_ends_with_figures_and_the_next_sends_nothing(
    portal: Portal, s3: S3Client, sqs: SQSClient
) -> None:
    with portal.fleet.worker():
        # when the daily run and a worker have done their work
        assert {row["outcome"] for row in portal.plan().values()} == {"enqueued"}
        portal.wait_until_settled(sqs)
        _see_what_is_published(portal, s3)
        _see_that_nothing_is_due(portal, sqs)
        # and the file that failed is mended on the portal, and the letter, which names the old one, replayed after it
        portal.service.hits[-1] = hit(CORRUPT, tree(_held(portal.service, 51, "whole.loom", BLOOD)))
        assert portal.plan()[CORRUPT]["outcome"] == "enqueued"
        portal.wait_until_settled(sqs)
        assert portal.fleet.run("producer.cli", "dlq", "replay").returncode == 0
        portal.wait_until_settled(sqs)
    # then the new figures stay
    mended = published(s3, portal.fleet.stack, CORRUPT)
    assert mended
    assert mended.inputs[0].uri.endswith("fileName=whole.loom")
    assert letters(sqs, portal.fleet.stack) == []


def _see_what_is_published(portal: Portal, s3: S3Client) -> None:
    """Every project has its figures, and its manifest says what was read and what was not."""
    made = {each: published(s3, portal.fleet.stack, each) for each in (LOOM, MIRRORED, BARE, SPECIES, CORRUPT)}
    found = {each: manifest for each, manifest in made.items() if manifest}
    assert set(found) == {LOOM, MIRRORED, BARE, SPECIES}
    assert {manifest.source for manifest in found.values()} == {"fresh"}
    libraries = {
        entity.entity: [(library.library, library.statistics["cells"]) for library in entity.libraries]
        for manifest in found.values()
        for entity in manifest.entities
    }
    assert libraries == {
        f"{LOOM}.homo_sapiens": [("10X", 300)],
        f"{MIRRORED}.homo_sapiens": [("10X", 30)],
        f"{BARE}.homo_sapiens": [("10X", 1_107)],
        f"{SPECIES}.homo_sapiens": [("10X", 30)],
        f"{SPECIES}.mus_musculus": [("10X", 30)],
    }
    assert found[LOOM].choice == (
        "homo_sapiens: 1 file of DCP/2 Analysis (loom).",
        "Passed over (DCP/2 Analysis comes before DCP/1 Matrix Service): blood.mtx.zip.",
    )
    assert found[MIRRORED].inputs[0].version == (
        f"{uuid(20)} 2021-02-11T23:11:45.000000Z sha256:{found[MIRRORED].inputs[0].sha256}"
    )


def _see_that_nothing_is_due(portal: Portal, sqs: SQSClient) -> None:
    """What failed for good is told, and sent no more."""
    (letter,) = letters(sqs, portal.fleet.stack)
    assert attributes_of(letter)["dpss.reason"] == "corrupt_matrix"
    tomorrow = portal.plan()
    assert {row["outcome"] for each, row in tomorrow.items() if each != CORRUPT} == {"up_to_date"}
    assert tomorrow[CORRUPT]["outcome"] == "unusable"
    assert tomorrow[CORRUPT]["reason"].startswith("failed before: corrupt_matrix")


def test_a_collection_of_cellxgene_ends_with_figures_of_its_datasets(
    portal: Portal, s3: S3Client, sqs: SQSClient, tiny: dict[str, Tiny]
) -> None:
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
    with portal.fleet.worker():
        planned = portal.plan("--source", "cellxgene")
        portal.wait_until_settled(sqs)
    # then its cells are summarised together
    assert planned[COLLECTION]["outcome"] == "enqueued"
    manifest = published(s3, portal.fleet.stack, COLLECTION)
    assert manifest
    assert [(i.version, i.species) for i in manifest.inputs] == [("v70", "mus_musculus"), ("v71", "mus_musculus")]
    (library,) = manifest.entities[0].libraries
    assert (manifest.source, library.library, library.statistics["cells"]) == ("cellxgene", "10X", 60)
    assert portal.plan("--source", "cellxgene")[COLLECTION]["outcome"] == "up_to_date"


def test_a_file_that_is_not_what_the_portal_says_is_never_published(portal: Portal, s3: S3Client) -> None:
    portal.service.hits = [hit(FORGED, tree(_held(portal.service, 60, "forged.loom", BLOOD, sha256="ab" * 32)))]
    assert portal.plan()[FORGED]["outcome"] == "enqueued"
    with portal.fleet.worker() as worker:
        told = eventually(lambda: worker.said("failed", project_id=FORGED), "the refusal of the file")
    assert told["reason"] == "source_unavailable"
    assert f"not {'ab' * 32}" in told["error"]
    assert published(s3, portal.fleet.stack, FORGED) is None
