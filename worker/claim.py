"""The claim on a project's keys while its figures are uploaded: S3 has no transaction over many objects.

Figures keep their keys for ever, so two workers that publish one project at once would mix their files. An object
beside the manifest, written on condition that there is none or that it is still the one that was read, says who is at
it. A claim that is not renewed for as long as it says of itself is nobody's: its worker was killed or frozen.
"""

import asyncio
import math
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from shared import telemetry
from shared.errors import SummaryStatsError
from worker.holding import LeaseLostError, Remaining, SupersededError
from worker.objects import Bucket, unchanged

LOOK_SECONDS: Final = 1.0
"""Between looks at the claim of another worker."""
CLOCK_SECONDS: Final = 1.0
"""What S3's times are precise to."""
RENEWALS_PER_TERM: Final = 3
DROP_SECONDS: Final = 3.0
"""For a claim to be given up by a worker that has to stop."""

log = telemetry.logger("claim")


class Words(BaseModel):
    """What a claim says: whose it is, for how many seconds without renewal, and the keys to delete once all is done.

    For 0 seconds: it was given up, and only the keys are left.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    token: str = ""
    worker: str = ""
    seconds: int = 120
    left_over: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who claims, where, for how many seconds without renewal, and how long the message is still ours."""

    bucket: Bucket
    key: str
    worker: str
    seconds: int
    remaining: Remaining


class Claim:
    """A claim in hand, renewed on the monotonic clock at ``renewed``."""

    def __init__(self, claimant: Claimant, words: Words, etag: str, renewed: float) -> None:
        self._claimant = claimant
        self._words = words
        self._etag = etag
        self._renewed = renewed
        self._turn = asyncio.Lock()

    @property
    def left_over(self) -> frozenset[str]:
        """Keys to delete once the manifest is written; those of publishers that were killed half-way among them."""
        return self._words.left_over

    def remaining(self) -> float:
        """Seconds that the message is ours and nobody can have taken over the claim."""
        return max(0.0, min(self._claimant.remaining(), self._words.seconds - self._age()))

    async def keep(self) -> None:
        """Renew the claim where it is time to; LeaseLostError where it is too late."""
        async with self._turn:
            if self._age() > self._words.seconds / RENEWALS_PER_TERM:
                await self._renew(self._words)

    async def note_left_over(self, keys: frozenset[str]) -> None:
        """Remember ``keys`` for whoever completes this publishing, should we not."""
        if not keys <= self.left_over:
            await self._renew(self._words.model_copy(update={"left_over": keys | self.left_over}))

    def forget_left_over(self) -> None:
        """Nothing is left to delete."""
        self._words = self._words.model_copy(update={"left_over": frozenset()})

    async def drop(self) -> None:
        """Give it up, unless another may have it by now; keys that are left to delete are left to the next."""
        if not self.remaining():
            return
        if self.left_over:
            await self._renew(self._words.model_copy(update={"seconds": 0}))
        else:
            await self._claimant.bucket.delete(self._claimant.key, self.remaining)

    def _age(self) -> float:
        return time.monotonic() - self._renewed

    async def _renew(self, words: Words) -> None:
        before = time.monotonic()
        etag = await _write(self._claimant, words, self._etag, self.remaining)
        if etag is None:
            self._renewed = -math.inf  # another's by now: not to be given up either
            raise SupersededError
        self._words, self._etag, self._renewed = words, etag, before


@asynccontextmanager
async def claimed(claimant: Claimant) -> AsyncIterator[Claim]:
    """The claim until the block ends, after another worker's has ended; LeaseLostError where the lease ends before."""
    claim = await _claim(claimant)
    patience = math.inf
    try:
        yield claim
    except asyncio.CancelledError:
        patience = DROP_SECONDS
        raise
    finally:
        try:
            async with asyncio.timeout(patience):
                await claim.drop()
        except (SummaryStatsError, LeaseLostError, SupersededError, TimeoutError) as error:
            log.warning("left over", key=claimant.key, error=str(error) or type(error).__name__)


async def _claim(claimant: Claimant) -> Claim:
    token = uuid.uuid4().hex
    said = False
    while claimant.remaining():
        found = await claimant.bucket.read(claimant.key)
        theirs = _words(found.body) if found else Words()
        if found is None or not theirs.seconds or found.age > theirs.seconds + CLOCK_SECONDS:
            before = time.monotonic()
            ours = Words(token=token, worker=claimant.worker, seconds=claimant.seconds, left_over=theirs.left_over)
            if etag := await _write(claimant, ours, found.etag if found else None, claimant.remaining):
                return Claim(claimant, ours, etag, before)
        elif not said:
            said = True
            log.info("waiting for another worker to publish", publishing=theirs.worker)
        await asyncio.sleep(LOOK_SECONDS)
    raise LeaseLostError


async def _write(claimant: Claimant, words: Words, instead_of: str | None, remaining: Remaining) -> str | None:
    """The new ETag, or None where another came before. An answer may have been lost: then what is there is ours."""
    body = words.model_dump_json().encode()
    etag = await claimant.bucket.write(claimant.key, body, remaining, unchanged(instead_of))
    if etag is None:
        found = await claimant.bucket.read(claimant.key)
        if found and found.body == body:
            return found.etag
    return etag


def _words(body: bytes) -> Words:
    try:
        return Words.model_validate_json(body)
    except ValidationError:
        return Words()
