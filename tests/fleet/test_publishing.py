"""Two workers and one project; matrices that are replaced meanwhile; a bucket that refuses figures."""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.gate import holding
from tests.faults.proxy import Request
from tests.faults.reactions import error
from tests.faults.rules import s3_call, when
from tests.fleet.conftest import Site, eventually, site
from tests.fleet.through import POLL, Far, far_worker, key_of, keys_of, manifest_call, place, reads, send
from tests.tiny import Tiny


@dataclass(frozen=True)
class Pair:
    """Two workers on one queue."""

    site: Site
    one: Far
    other: Far

    def requests(self, since: float = 0.0) -> list[Request]:
        """What they asked for after ``since`` on the monotonic clock, polls left out."""
        asked = [request for far in (self.one, self.other) for request in far.server.sent(lambda r: not POLL(r))]
        return sorted((request for request in asked if request.at > since), key=lambda request: request.at)

    def endings(self, project_id: str) -> list[str]:
        """How the two ended the project, in alphabetical order."""
        lines = [line for far in (self.one, self.other) for line in far.command.log()]
        ended = {"published", "up_to_date", "superseded", "released"}
        return sorted(
            line["event"] for line in lines if line.get("project_id") == project_id and line["event"] in ended
        )


@pytest.fixture(scope="module")
def pair(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with ExitStack() as block:
        made = block.enter_context(site(endpoint, tmp_path_factory.mktemp("publishing")))
        workers = [block.enter_context(far_worker(made)) for _ in range(2)]
        for worker in workers:
            worker.polls()
        yield Pair(made, *workers)


def inputs_of(site: Site, project_id: str) -> list[str]:
    """The sha256 of the matrices in the project's manifest, every file of which is what it says."""
    manifest = site.published(project_id)
    assert manifest
    return [matrix.sha256 for matrix in manifest.inputs]


def sha256(contents: bytes) -> str:
    return hashlib.sha256(contents).hexdigest()


def test_a_project_on_two_workers_at_once_is_published_once(pair: Pair, tiny: dict[str, Tiny]) -> None:
    body = place(pair.site, "twice", tiny["lung"].contents)
    read = reads(key_of("twice"))
    with holding(pair.one.server, read) as one, holding(pair.other.server, read) as other:
        send(pair.site, body)
        send(pair.site, body)
        for gate in (one, other):
            gate.held()
        for gate in (one, other):
            gate.open()
        pair.site.wait_until_settled()
    assert pair.endings("twice") == ["published", "up_to_date"]
    assert len([request for request in pair.requests() if manifest_call("twice", "PUT")(request)]) == 1
    assert inputs_of(pair.site, "twice") == [sha256(tiny["lung"].contents)]
    assert not keys_of(pair.site, "twice") & {"publishing.json", "failure.json"}


def test_what_is_published_already_costs_a_read(pair: Pair, tiny: dict[str, Tiny]) -> None:
    body = place(pair.site, "again", tiny["lung"].contents)
    send(pair.site, body)
    pair.site.wait_until_settled()
    before = time.monotonic()
    send(pair.site, body)
    pair.site.wait_until_settled()
    look, settle = pair.requests(since=before)
    assert manifest_call("again", "GET")(look)
    assert settle.action == "DeleteMessage"


def test_old_figures_never_come_over_new_ones(pair: Pair, tiny: dict[str, Tiny]) -> None:
    old, new = tiny["blood"].contents, tiny["chr21"].contents
    read = reads(key_of("replaced"))
    with holding(pair.one.server, read, answers=True) as gate:
        with pair.other.kept_from_messages():
            send(pair.site, place(pair.site, "replaced", old))
            gate.held()
        send(pair.site, place(pair.site, "replaced", new))
        eventually(lambda: pair.other.command.said("published", project_id="replaced"), "the newer figures")
        with holding(pair.one.server, read), holding(pair.other.server, read):  # so that it is not done again yet
            gate.open()
            eventually(lambda: pair.one.command.said("superseded", project_id="replaced"), "the end of the older")
            assert inputs_of(pair.site, "replaced") == [sha256(new)]
    pair.site.wait_until_settled()
    assert inputs_of(pair.site, "replaced") == [sha256(new)]
    assert pair.endings("replaced") == ["published", "published", "released", "superseded"]


def test_a_matrix_replaced_after_its_message_was_sent_is_used_as_it_is_now(pair: Pair, tiny: dict[str, Tiny]) -> None:
    body = place(pair.site, "newer", tiny["blood"].contents)
    place(pair.site, "newer", tiny["lung"].contents)
    send(pair.site, body)
    pair.site.wait_until_settled()
    assert inputs_of(pair.site, "newer") == [sha256(tiny["lung"].contents)]


def test_a_message_older_than_what_is_published_is_done_with(pair: Pair, tiny: dict[str, Tiny]) -> None:
    def asked_at(contents: bytes, hour: int) -> str:
        message = json.loads(place(pair.site, "replayed", contents))
        return json.dumps(message | {"requested_at": f"2026-11-22T{hour:02}:00:00Z"})

    older, newer = asked_at(tiny["blood"].contents, 3), asked_at(tiny["lung"].contents, 4)
    send(pair.site, newer)
    pair.site.wait_until_settled()
    began = time.monotonic()
    send(pair.site, older)
    pair.site.wait_until_settled()
    assert pair.endings("replayed") == ["published", "superseded"]
    assert not [request for request in pair.requests(began) if request.method == "PUT"]
    assert inputs_of(pair.site, "replayed") == [sha256(tiny["lung"].contents)]


def test_publishing_that_is_refused_for_good_is_a_dead_letter_and_nothing_is_referred_to(
    aws: str, tmp_path: Path, tiny: dict[str, Tiny]
) -> None:
    with site(aws, tmp_path, max_receive_count=1) as here, far_worker(here) as far:
        far.server.rules.append(when(s3_call(method="PUT", ends="/violin.png"), error(403, "AccessDenied")))
        send(here, place(here, "refused", tiny["lung"].contents))
        letter = here.letter("refused")
        here.wait_until_settled()
        assert letter["dpss.reason"] == "publish_failed"
        assert letter["dpss.stage"] == "publish"
        assert "violin.png: refused (AccessDenied)" in letter["dpss.error"]
        assert here.published("refused") is None
        left = keys_of(here, "refused")
        assert any(key.endswith(".png") for key in left)
        assert not left & {"manifest.json", "failure.json"}
