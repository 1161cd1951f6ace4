"""Claims on a project's keys, in a real bucket."""

import asyncio
import json
import math
from collections.abc import Iterator

import pytest
from mypy_boto3_s3 import S3Client

from infra.local.stack import Stack
from tests.faults.proxy import FaultyServer
from tests.faults.reactions import lose_answer
from tests.faults.rules import first, s3_call, when
from tests.worker.shelf import Shelf, until
from worker.claim import Claim, Claimant, Words, claimed
from worker.holding import LeaseLostError, Remaining, SupersededError
from worker.objects import Bucket

KEY = "figures/p/publishing.json"
READ = s3_call(method="GET", ends=KEY)
WRITE = s3_call(method="PUT", ends=KEY)


@pytest.fixture
def shelf(aws: str, s3: S3Client, stack: Stack) -> Iterator[Shelf]:
    with FaultyServer(aws) as server:
        yield Shelf(server, s3, stack.figure_bucket)


def claimant(
    bucket: Bucket, worker: str = "one", seconds: int = 60, remaining: Remaining = lambda: math.inf
) -> Claimant:
    return Claimant(bucket, KEY, worker, seconds, remaining)


def owner(shelf: Shelf) -> str:
    worker: str = json.loads(shelf.body(KEY))["worker"]
    return worker


async def note(claim: Claim, *keys: str) -> frozenset[str]:
    await claim.note_left_over(frozenset(keys))
    return claim.left_over


def test_a_claim_is_there_until_its_block_ends(shelf: Shelf) -> None:
    async def work(bucket: Bucket) -> tuple[str, bool]:
        async with claimed(claimant(bucket)) as claim:
            return owner(shelf), claim.remaining() > 0

    assert shelf.run(work) == ("one", True)
    assert shelf.objects() == set()


def test_a_claim_is_dropped_where_its_block_fails(shelf: Shelf) -> None:
    async def work(bucket: Bucket) -> None:
        async with claimed(claimant(bucket)):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        shelf.run(work)
    assert shelf.objects() == set()


def test_a_claim_is_dropped_where_its_block_is_cancelled(shelf: Shelf) -> None:
    async def hold(bucket: Bucket, inside: asyncio.Event) -> None:
        async with claimed(claimant(bucket)):
            inside.set()
            await asyncio.Event().wait()

    async def work(bucket: Bucket) -> bool:
        inside = asyncio.Event()
        holder = asyncio.create_task(hold(bucket, inside))
        await inside.wait()
        holder.cancel()
        await asyncio.wait([holder])
        return holder.cancelled()

    assert shelf.run(work)
    assert shelf.objects() == set()


def test_a_second_worker_waits_until_the_first_is_done(shelf: Shelf) -> None:
    owners: list[str] = []

    async def second(bucket: Bucket) -> None:
        async with claimed(claimant(bucket, "two")):
            owners.append(owner(shelf))

    async def work(bucket: Bucket) -> None:
        async with claimed(claimant(bucket)):
            waiting = asyncio.create_task(second(bucket))
            await until(lambda: len(shelf.server.sent(READ)) > 2)  # it looked twice
            owners.append(owner(shelf))
        await waiting

    shelf.run(work)
    assert owners == ["one", "two"]
    assert shelf.objects() == set()


def test_who_waits_stops_waiting_when_the_message_is_lost(shelf: Shelf) -> None:
    before = b"this is no claim of ours"
    shelf.put(KEY, before)

    async def work(bucket: Bucket) -> None:
        async with claimed(claimant(bucket, remaining=lambda: 60.0 * (len(shelf.server.sent(READ)) < 2))):
            pass

    with pytest.raises(LeaseLostError):
        shelf.run(work)
    assert shelf.body(KEY) == before
    assert shelf.changes() == []


def test_a_claim_that_is_not_renewed_is_taken_over_with_what_is_left_to_delete(shelf: Shelf) -> None:
    async def work(bucket: Bucket) -> tuple[str, frozenset[str], bool]:
        async with claimed(claimant(bucket, "frozen", seconds=1)) as frozen:
            await note(frozen, "old.png")
            async with claimed(claimant(bucket, "next")) as claim:
                with pytest.raises(LeaseLostError):
                    await frozen.keep()
                found = owner(shelf), claim.left_over, frozen.remaining() > 0
                claim.forget_left_over()
        return found

    assert shelf.run(work) == ("next", frozenset({"old.png"}), False)
    assert shelf.objects() == set()


def test_who_was_taken_over_leaves_the_claim_to_its_owner(shelf: Shelf) -> None:
    async def work(bucket: Bucket) -> None:
        async with claimed(claimant(bucket, "frozen", seconds=1)) as claim:
            await until(lambda: not claim.remaining())
            shelf.put(KEY, Words(worker="next").model_dump_json().encode())

    shelf.run(work)
    assert owner(shelf) == "next"


def test_a_claim_that_is_kept_is_not_taken_over(shelf: Shelf) -> None:
    async def take_over(bucket: Bucket) -> None:
        async with claimed(claimant(bucket, "two")):
            pass

    async def work(bucket: Bucket) -> str:
        async with claimed(claimant(bucket, seconds=2)) as claim:
            waiting = asyncio.create_task(take_over(bucket))
            while len(shelf.server.sent(READ)) < 7:  # about three terms
                await claim.keep()
                await asyncio.sleep(0.1)
            found = owner(shelf)
        await waiting
        return found

    assert shelf.run(work) == "one"


def test_a_claim_whose_answer_was_lost_is_known_as_our_own(shelf: Shelf) -> None:
    shelf.server.rules.append(when(first(1, WRITE), lose_answer))

    async def work(bucket: Bucket) -> bool:
        async with claimed(claimant(bucket)) as claim:
            shelf.server.rules.append(when(first(1, WRITE), lose_answer))
            await note(claim, "old.png")
            claim.forget_left_over()
            return claim.remaining() > 0

    assert shelf.run(work)
    assert len(shelf.server.sent(WRITE)) == 4
    assert shelf.objects() == set()


def test_a_claim_that_another_wrote_over_cannot_be_renewed(shelf: Shelf) -> None:
    async def work(bucket: Bucket) -> None:
        async with claimed(claimant(bucket)) as claim:
            shelf.put(KEY, Words(worker="next").model_dump_json().encode())
            await note(claim, "old.png")

    with pytest.raises(SupersededError):
        shelf.run(work)
    assert owner(shelf) == "next"
