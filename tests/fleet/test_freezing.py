"""A worker that is frozen past its lease, and goes on when another has done its work."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.gate import holding
from tests.faults.proxy import Match
from tests.fleet.conftest import Site, depth, eventually, handles, outliving, site
from tests.fleet.through import Far, far_worker, key_of, place, put_figure, reads, send
from tests.tiny import Tiny

LEASE_SECONDS = 3
OUTLIVE_SECONDS = 2


@dataclass(frozen=True)
class Pair:
    """Two workers: the one that is frozen, and the one that takes over."""

    site: Site
    frozen: Far
    other: Far


@pytest.fixture(scope="module")
def pair(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with ExitStack() as block:
        made = block.enter_context(site(endpoint, tmp_path_factory.mktemp("freezing")))
        workers = [block.enter_context(far_worker(made, DPSS_VISIBILITY_SECONDS=str(LEASE_SECONDS))) for _ in range(2)]
        for worker in workers:
            worker.polls()
        yield Pair(made, *workers)


def freeze_and_take_over(pair: Pair, body: str, project_id: str, held: Match, *, answers: bool) -> float:
    """Freeze the first worker at what is ``held`` until the other has published; gives when it went on."""
    with holding(pair.frozen.server, held, answers=answers) as gate:
        with pair.other.kept_from_messages():
            send(pair.site, body)
            gate.held()
            os.kill(pair.frozen.command.process.pid, signal.SIGSTOP)
        with handles(pair.frozen.command.children()) as children:
            assert children or answers  # what is published is computed
            published = eventually(lambda: pair.other.command.said("published", project_id=project_id), "the takeover")
            assert published["attempt"] == 2
            pair.site.wait_until_settled()
            continued = time.monotonic()
            os.kill(pair.frozen.command.process.pid, signal.SIGCONT)
            eventually(
                lambda: pair.frozen.command.said("left alone: the lease was lost", project_id=project_id),
                "the loss of the lease",
            )
            assert outliving(children, OUTLIVE_SECONDS) == set()
        gate.open()
    pair.frozen.polls()  # whatever it had to say of this message, it has said
    return continued


@pytest.mark.parametrize("stage", ["computing", "publishing"])
def test_a_worker_frozen_past_its_lease_leaves_all_to_the_one_that_took_over(
    pair: Pair, tiny: dict[str, Tiny], stage: str
) -> None:
    body = place(pair.site, stage, tiny["lung"].contents)
    held, answers = {"computing": (reads(key_of(stage)), False), "publishing": (put_figure(stage), True)}[stage]
    continued = freeze_and_take_over(pair, body, stage, held, answers=answers)
    assert pair.frozen.writes(since=continued) == []
    assert not pair.frozen.command.said("published", project_id=stage)
    assert pair.site.published(stage)
    assert depth(pair.site.sqs, pair.site.stack.queue_url) == (0, 0)
    eventually(lambda: not list(scratch_of(pair)), "an empty scratch folder")


def scratch_of(pair: Pair) -> Iterator[Path]:
    """What projects have put aside."""
    return pair.site.scratch.glob("*/project-*")
