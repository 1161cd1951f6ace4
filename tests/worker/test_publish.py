"""From a folder to a real bucket: what is there at which moment, whatever becomes of the publisher."""

import asyncio
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from mypy_boto3_s3 import S3Client

from infra.local.stack import Stack
from shared.errors import PublishFailedError
from shared.manifest import Entity, FailureRecord, Figure, Library, Manifest
from tests.faults.gate import Gate, holding
from tests.faults.proxy import Exchange, FaultyServer
from tests.faults.reactions import error, hang, lose_answer
from tests.faults.rules import first, s3_call, when
from tests.worker.shelf import Shelf
from worker.claim import Words
from worker.holding import LeaseLostError, Remaining, SupersededError
from worker.objects import Bucket
from worker.publish import Published, Publisher

PREFIX = "figures/"
MANIFEST, CLAIM, FAILURE = (f"{PREFIX}p/{name}.json" for name in ("manifest", "publishing", "failure"))
PAGE = f"{PREFIX}p/index.html"
LIBRARY = f"{PREFIX}p/10X/"
PUT_MANIFEST = s3_call(method="PUT", ends=MANIFEST)


@pytest.fixture
def shelf(aws: str, s3: S3Client, stack: Stack) -> Iterator[Shelf]:
    with FaultyServer(aws) as server:
        yield Shelf(server, s3, stack.figure_bucket)


def make(folder: Path, pictures: Mapping[str, bytes], fingerprint: str = "f") -> Manifest:
    """Pictures in ``folder``, and the manifest that names them."""
    (folder / "p/10X").mkdir(parents=True, exist_ok=True)
    for name, body in pictures.items():
        (folder / "p/10X" / name).write_bytes(body)
    figures = tuple(
        Figure(
            name=name,
            key=LIBRARY + name,
            sha256=hashlib.sha256(body).hexdigest(),
            bytes=len(body),
            width=1,
            height=1,
            alt="",
        )
        for name, body in pictures.items()
    )
    entity = Entity(entity="p", species=None, libraries=(Library(library="10X", statistics={}, figures=figures),))
    made = datetime(2026, 11, 22, tzinfo=UTC)
    return Manifest(project_id="p", generated_at=made, inputs=(), fingerprint=fingerprint, entities=(entity,))


def publisher(bucket: Bucket, claim_seconds: int = 60) -> Publisher:
    return Publisher(bucket, PREFIX, "one", claim_seconds)


class Desk:
    """Publishes from a folder as a worker would."""

    def __init__(self, shelf: Shelf, folder: Path) -> None:
        self._shelf = shelf
        self._folder = folder

    def publish(
        self,
        pictures: Mapping[str, bytes],
        fingerprint: str = "f",
        *,
        seen: bool = True,
        remaining: Remaining = lambda: math.inf,
        claim_seconds: int = 60,
    ) -> bool:
        """Publish ``pictures``; not ``seen``: what is published now was not when the project was begun."""

        async def work(bucket: Bucket) -> bool:
            manifest = make(self._folder, pictures, fingerprint)
            before = await publisher(bucket).published("p") if seen else None
            return await publisher(bucket, claim_seconds).publish(manifest, self._folder, before, remaining)

        return self._shelf.run(work)

    def cancel_at(self, gate: Gate, pictures: Mapping[str, bytes]) -> None:
        """Publish until a request is held at ``gate``, then no further."""

        async def work(bucket: Bucket) -> None:
            manifest = make(self._folder, pictures)
            before = await publisher(bucket).published("p")
            publishing = asyncio.create_task(
                publisher(bucket).publish(manifest, self._folder, before, lambda: math.inf)
            )
            await asyncio.to_thread(gate.held)
            publishing.cancel()
            await asyncio.wait([publishing])

        self._shelf.run(work)


@pytest.fixture
def desk(shelf: Shelf, tmp_path: Path) -> Desk:
    return Desk(shelf, tmp_path)


def named(shelf: Shelf) -> dict[str, bytes]:
    """The figures that the manifest names, each with the bytes it says."""
    manifest = Manifest.model_validate_json(shelf.body(MANIFEST))
    figures = [figure for entity in manifest.entities for library in entity.libraries for figure in library.figures]
    found = {figure.name: shelf.body(figure.key) for figure in figures}
    assert [hashlib.sha256(found[figure.name]).hexdigest() for figure in figures] == [f.sha256 for f in figures]
    return found


def test_the_manifest_comes_last_under_a_claim_that_is_gone_afterwards(shelf: Shelf, desk: Desk) -> None:
    assert desk.publish({"umap.png": b"1", "violin.png": b"2"})
    claim, words, *uploads, failure, manifest, last_asked = shelf.changes()
    assert claim == words == f"PUT {CLAIM}"
    assert sorted(uploads) == [f"PUT {LIBRARY}umap.png", f"PUT {LIBRARY}violin.png", f"PUT {PAGE}"]
    assert [failure, manifest, last_asked] == [f"DELETE {FAILURE}", f"PUT {MANIFEST}", f"DELETE {CLAIM}"]
    assert named(shelf) == {"umap.png": b"1", "violin.png": b"2"}


def test_a_manifest_is_gone_before_the_first_of_its_files_is_replaced(shelf: Shelf, desk: Desk) -> None:
    desk.publish({"umap.png": b"1", "violin.png": b"2"})
    before = len(shelf.changes())
    assert desk.publish({"umap.png": b"3", "violin.png": b"4"}, "g")
    asked = shelf.changes()[before:]
    uploads = [number for number, what in enumerate(asked) if what.startswith(f"PUT {LIBRARY}")]
    assert asked.index(f"DELETE {MANIFEST}") < min(uploads)
    assert max(uploads) < asked.index(f"PUT {MANIFEST}")
    assert named(shelf) == {"umap.png": b"3", "violin.png": b"4"}


def test_a_manifest_whose_answer_was_lost_is_a_success(shelf: Shelf, desk: Desk) -> None:
    shelf.server.rules.append(when(first(1, PUT_MANIFEST), lose_answer))
    assert desk.publish({"umap.png": b"1"})
    assert len(shelf.server.sent(PUT_MANIFEST)) == 2
    assert named(shelf) == {"umap.png": b"1"}


def test_a_manifest_that_another_wrote_meanwhile_stays(shelf: Shelf, desk: Desk) -> None:
    theirs = b'{"fingerprint": "theirs"}'

    def be_late(exchange: Exchange) -> None:
        shelf.put(MANIFEST, theirs)
        exchange.send(exchange.pass_on())

    shelf.server.rules.append(when(PUT_MANIFEST, be_late))
    with pytest.raises(SupersededError):
        desk.publish({"umap.png": b"1"})
    assert shelf.body(MANIFEST) == theirs


def test_nothing_that_is_published_is_kept_for_long_so_that_a_page_and_its_figures_are_of_one_make(
    shelf: Shelf, desk: Desk
) -> None:
    desk.publish({"umap.png": b"1", "markers.tsv": b"2"})
    listed = shelf.s3.list_objects_v2(Bucket=shelf.name)["Contents"]
    kept = {each["Key"]: shelf.s3.head_object(Bucket=shelf.name, Key=each["Key"])["CacheControl"] for each in listed}
    assert len(kept) == 4
    assert set(kept.values()) == {"max-age=60"}


def test_the_page_is_there_with_the_manifest_as_html_that_is_not_kept_for_long(shelf: Shelf, desk: Desk) -> None:
    desk.publish({"umap.png": b"1"})
    desk.publish({"violin.png": b"2"}, "g")
    found = shelf.s3.get_object(Bucket=shelf.name, Key=PAGE)
    assert (found["ContentType"], found["CacheControl"]) == ("text/html; charset=utf-8", "max-age=60")
    text = found["Body"].read().decode()
    assert 'src="10X/violin.png"' in text
    assert "umap.png" not in text


def test_a_page_that_another_wrote_meanwhile_stays(shelf: Shelf, desk: Desk) -> None:
    def be_late(exchange: Exchange) -> None:
        shelf.put(PAGE, b"of another worker")
        exchange.send(exchange.pass_on())

    upload = when(s3_call(method="PUT", ends=PAGE), be_late)
    with shelf.server.imposed(upload), pytest.raises(SupersededError):
        desk.publish({"umap.png": b"2"})
    assert shelf.body(PAGE) == b"of another worker"
    assert MANIFEST not in shelf.objects()


def test_figures_that_are_not_made_any_more_are_deleted(shelf: Shelf, desk: Desk) -> None:
    desk.publish({"umap.png": b"1", "violin.png": b"2"})
    desk.publish({"umap.png": b"3"}, "g")
    assert shelf.objects() == {MANIFEST, PAGE, LIBRARY + "umap.png"}


def test_what_a_killed_publisher_left_over_is_deleted_by_the_one_that_completes(shelf: Shelf, desk: Desk) -> None:
    kept = f"{PREFIX}q/10X/umap.png"
    for key in (LIBRARY + "violin.png", f"{PREFIX}p.homo_sapiens/10X/umap.png", kept):
        shelf.put(key, b"old")
    killed = Words(worker="killed", seconds=1, left_over=frozenset(shelf.objects()))
    shelf.put(CLAIM, killed.model_dump_json().encode())
    assert desk.publish({"umap.png": b"1"})
    assert shelf.objects() == {MANIFEST, PAGE, LIBRARY + "umap.png", kept}


@pytest.mark.parametrize("way", ["refused", "cancelled"])
def test_what_an_interrupted_publisher_left_over_is_deleted_by_the_next(shelf: Shelf, desk: Desk, way: str) -> None:
    desk.publish({"umap.png": b"1", "violin.png": b"2"})
    put_umap = s3_call(method="PUT", ends="/umap.png")
    if way == "refused":
        with shelf.server.imposed(when(put_umap, error(403, "AccessDenied"))), pytest.raises(PublishFailedError):
            desk.publish({"umap.png": b"3"}, "g")
    else:
        with holding(shelf.server, put_umap, answers=True) as gate:
            desk.cancel_at(gate, {"umap.png": b"3"})
    assert MANIFEST not in shelf.objects()
    assert json.loads(shelf.body(CLAIM))["seconds"] == 0
    assert desk.publish({"umap.png": b"3"}, "g")
    assert shelf.objects() == {MANIFEST, PAGE, LIBRARY + "umap.png"}


def test_a_first_publishing_that_is_refused_leaves_word_of_what_may_be_left_over(shelf: Shelf, desk: Desk) -> None:
    put_umap = s3_call(method="PUT", ends="/umap.png")
    refused = pytest.raises(PublishFailedError, match=r"umap\.png: refused \(AccessDenied\)")
    with shelf.server.imposed(when(put_umap, error(403, "AccessDenied"))), refused:
        desk.publish({"umap.png": b"1", "pca.png": b"2"})
    assert MANIFEST not in shelf.objects()
    words = json.loads(shelf.body(CLAIM))
    assert words["seconds"] == 0
    assert set(words["left_over"]) == {LIBRARY + "umap.png", LIBRARY + "pca.png"}
    assert desk.publish({"umap.png": b"3"}, "g", seen=False)
    assert shelf.objects() == {MANIFEST, PAGE, LIBRARY + "umap.png"}


def test_what_another_published_of_the_same_inputs_stays(shelf: Shelf, desk: Desk) -> None:
    desk.publish({"umap.png": b"1"})
    before = len(shelf.changes())
    assert not desk.publish({"umap.png": b"2"}, seen=False)
    assert shelf.changes()[before:] == [f"PUT {CLAIM}", f"DELETE {CLAIM}"]
    assert named(shelf) == {"umap.png": b"1"}


def test_what_another_published_of_other_inputs_stays(shelf: Shelf, desk: Desk) -> None:
    desk.publish({"umap.png": b"1"}, "newer")
    before = len(shelf.changes())
    with pytest.raises(SupersededError):
        desk.publish({"umap.png": b"2"}, "older", seen=False)
    assert shelf.changes()[before:] == [f"PUT {CLAIM}", f"DELETE {CLAIM}"]
    assert named(shelf) == {"umap.png": b"1"}


def test_figures_asked_for_again_are_replaced_though_the_inputs_are_the_same(shelf: Shelf, desk: Desk) -> None:
    desk.publish({"umap.png": b"1"})
    assert desk.publish({"umap.png": b"2"})
    assert named(shelf) == {"umap.png": b"2"}


def test_an_upload_that_comes_late_is_refused_and_nothing_is_committed(shelf: Shelf, desk: Desk) -> None:
    desk.publish({"umap.png": b"1"})

    def overtaken(exchange: Exchange) -> None:
        shelf.put(LIBRARY + "umap.png", b"of another worker")
        exchange.send(exchange.pass_on())

    upload = when(s3_call(method="PUT", ends="/umap.png"), overtaken)
    with shelf.server.imposed(upload), pytest.raises(SupersededError):
        desk.publish({"umap.png": b"2"}, "g")
    assert shelf.body(LIBRARY + "umap.png") == b"of another worker"
    assert MANIFEST not in shelf.objects()


def test_a_claim_that_aged_while_an_upload_hung_is_taken_anew(shelf: Shelf, desk: Desk) -> None:
    shelf.server.rules.append(when(first(1, s3_call(method="PUT", ends="/umap.png")), hang(60)))
    assert desk.publish({"umap.png": b"1"}, claim_seconds=1)
    assert named(shelf) == {"umap.png": b"1"}


def test_nothing_is_written_once_the_lease_is_lost(shelf: Shelf, desk: Desk) -> None:
    uploads = s3_call(method="PUT", ends=".png")
    pictures = {f"{number:02}.png": b"1" for number in range(40)}
    with pytest.raises(LeaseLostError):
        desk.publish(pictures, remaining=lambda: 60.0 * (not shelf.server.sent(uploads)))
    asked = shelf.changes()
    assert asked[-1].startswith(f"PUT {LIBRARY}")
    assert len(asked) < 20  # those that were under way
    assert MANIFEST not in shelf.objects()


def test_a_manifest_that_cannot_be_read_is_out_of_date_and_replaced(shelf: Shelf, desk: Desk) -> None:
    shelf.put(MANIFEST, b"\xff")

    async def look(bucket: Bucket) -> Published | None:
        return await publisher(bucket).published("p")

    found = shelf.run(look)
    assert found
    assert found.fingerprint is None
    assert desk.publish({"umap.png": b"1"})
    assert named(shelf) == {"umap.png": b"1"}


def test_a_failure_is_recorded_until_the_next_success(shelf: Shelf, desk: Desk) -> None:
    failed_at = datetime(2026, 11, 22, tzinfo=UTC)
    record = FailureRecord(fingerprint="f", reason="empty_matrix", error="no cells", stage="read", failed_at=failed_at)

    async def fail(bucket: Bucket) -> None:
        await publisher(bucket).record_failure("p", record, lambda: math.inf)

    shelf.run(fail)
    assert shelf.body(FAILURE) == record.body()
    desk.publish({"umap.png": b"1"})
    assert FAILURE not in shelf.objects()
