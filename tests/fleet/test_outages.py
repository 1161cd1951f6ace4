"""Queues that are out of reach for a while, and the longest time that SQS hides a message."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.faults.gate import holding
from tests.faults.reactions import cut, error
from tests.faults.rules import sqs_call, when
from tests.fleet.conftest import Site, attributes_of, depth, eventually, handles, letters, outliving, site
from tests.fleet.through import POLL, Far, far_program, far_worker, key_of, place, reads, send
from tests.tiny import Tiny

LEASE_SECONDS = 12
OUTAGE_SECONDS = 6
"""As 60 s are to a lease of 120 s."""
OUTLIVE_SECONDS = 2
HIDE = sqs_call("ChangeMessageVisibility")
CAP_SECONDS = 14
OF_TWELVE_HOURS = f"""
import worker.lease as lease
lease.LONGEST_SECONDS, lease.WIND_UP_SECONDS, lease.GUARD_SECONDS = {CAP_SECONDS}, 6, 2
from worker.cli import main
main(["run"])
"""
"""A worker for which 12 h are over soon."""


@pytest.fixture(scope="module")
def here(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(endpoint, tmp_path_factory.mktemp("outages")) as made:
        yield made


@pytest.fixture(scope="module")
def far(here: Site) -> Iterator[Far]:
    with far_worker(here, DPSS_VISIBILITY_SECONDS=str(LEASE_SECONDS)) as far:
        far.polls()
        yield far


def test_a_project_outlasts_a_queue_that_is_away(here: Site, far: Far, tiny: dict[str, Tiny]) -> None:
    with holding(far.server, reads(key_of("patient"))) as gate:
        send(here, place(here, "patient", tiny["lung"].contents))
        gate.held()
        with far.server.imposed(when(sqs_call(), cut)):
            began = time.monotonic()
            eventually(lambda: far.command.said("lease not renewed"), "a renewal that fails")
            eventually(lambda: time.monotonic() > began + OUTAGE_SECONDS, "the end of the outage")
        eventually(lambda: time.monotonic() > began + LEASE_SECONDS, "the end of the lease as it was before")
        gate.open()
        here.wait_until_settled()
    assert here.published("patient")
    assert far.command.said("published", project_id="patient", attempt=1)
    assert letters(here.sqs, here.stack) == []


def test_a_letter_for_which_there_is_no_queue_leaves_its_message_where_it_is(here: Site, far: Far) -> None:
    body = json.dumps({"schema_version": 99})
    with far.server.imposed(when(sqs_call("SendMessage"), error(403, "AccessDenied"))):
        message_id = send(here, body)
        eventually(lambda: far.command.said("not settled", call="bury", message_id=message_id), "the refusal")
        assert sum(depth(here.sqs, here.stack.queue_url)) == 1
        assert far.server.calls("SendMessage") == 1
    here.wait_until_settled()
    (letter,) = letters(here.sqs, here.stack)
    assert letter["Body"] == body
    assert attributes_of(letter)["dpss.reason"] == "invalid_message"
    assert attributes_of(letter)["dpss.attempts"] == "2"


def test_a_project_is_released_before_its_message_cannot_be_hidden_any_longer(
    aws: str, tmp_path: Path, tiny: dict[str, Tiny]
) -> None:
    with ExitStack() as block:
        here = block.enter_context(site(aws, tmp_path))
        far = block.enter_context(far_program(here, OF_TWELVE_HOURS, DPSS_VISIBILITY_SECONDS="4"))
        gate = block.enter_context(holding(far.server, reads(key_of("endless"))))
        far.polls()
        send(here, place(here, "endless", tiny["lung"].contents))
        gate.held()
        received = far.server.sent(POLL)[-1].at
        with handles(far.command.children()) as children:
            assert children
            failed = eventually(lambda: far.command.said("failed"), "the end of its time")
            assert outliving(children, OUTLIVE_SECONDS) == set()
        assert failed["reason"] == "timeout"
        assert "12 h" in failed["error"]
        assert failed["fate"].startswith("again in")
        eventually(lambda: far.command.said("received", attempt=2), "the next attempt")
        hidden = [json.loads(request.body) | {"at": request.at} for request in far.server.sent(HIDE)]
        ends = [each["at"] + each["VisibilityTimeout"] for each in hidden if receipt(each) == receipt(hidden[0])]
        assert len(ends) > 3
        assert max(ends) < received + CAP_SECONDS
        assert not far.command.said("lease lost")


def receipt(asked: dict[str, Any]) -> str:
    """Which receiving of the message is meant."""
    handle: str = asked["ReceiptHandle"]
    return handle
