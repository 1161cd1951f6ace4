"""Calls to AWS that are made again while another try may help.

The parent's clients make one attempt a call (CLIENT_OPTIONS): between two attempts the lease has to be looked at, which
botocore's own retries cannot.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any, Final

import aiohttp
import tenacity
from botocore.exceptions import BotoCoreError, ClientError

from shared import aws
from worker.holding import LeaseLostError, Remaining

FAULTS: Final = (BotoCoreError, ClientError, aiohttp.ClientError, OSError)
"""What a call may end with; aiohttp's own come from the body of an answer."""
CLIENT_OPTIONS: Final[dict[str, Any]] = {
    "connect_timeout": 3,
    "read_timeout": 10,
    "max_pool_connections": 64,
    "retries": {"mode": "standard", "total_max_attempts": 1},
    "user_agent_extra": aws.USER_AGENT,
}
"""For aiobotocore's AioConfig; seconds, a long poll among them."""
ATTEMPT_SECONDS: Final = 15.0
"""For one attempt, whatever the client waits for: it has no limit of its own while a body is sent."""
PATIENCE_SECONDS: Final = 60.0
"""With a service that keeps failing; where work of hours would be lost, it is more."""
FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 5.0


async def persist[T](
    call: Callable[[], Awaitable[T]],
    remaining: Remaining = lambda: math.inf,
    *,
    patience: float = PATIENCE_SECONDS,
    seconds: float = ATTEMPT_SECONDS,
) -> T:
    """What ``call`` gives, after attempts of up to ``seconds`` each, begun within ``patience``.

    Pauses grow and are drawn by lot, so that workers that failed together do not come back together. Raises what the
    last attempt raised; at once what no other attempt would mend; LeaseLostError where nothing is ``remaining``.
    """
    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, FAULTS) and aws.is_passing(error)),
        stop=tenacity.stop_after_delay(patience),
        wait=tenacity.wait_random_exponential(multiplier=FIRST_PAUSE_SECONDS, max=LONGEST_PAUSE_SECONDS),
        reraise=True,
    )
    async for attempt in retrying:
        with attempt:
            if (left := remaining()) <= 0:
                raise LeaseLostError
            async with asyncio.timeout(min(seconds, left)):
                return await understood(call)
    raise AssertionError("the last attempt raises")


async def understood[T](call: Callable[[], Awaitable[T]]) -> T:
    """What ``call`` gives; an answer that the client stumbles over (a proxy's page, half a document) is a fault."""
    try:
        return await call()
    except (*FAULTS, LeaseLostError):
        raise
    except Exception as error:
        raise ConnectionError(f"an answer that cannot be understood: {type(error).__name__}: {error}") from error
