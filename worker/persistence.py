"""Calls to AWS that are made again while another try may help.

The parent's clients make one attempt a call (CLIENT_OPTIONS): between two attempts the lease has to be looked at, which
botocore's own retries cannot.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import aiohttp
import tenacity
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from shared import aws

FAULTS: Final = (BotoCoreError, ClientError, ResponseParserError, aiohttp.ClientError, OSError)
"""What a call may end with; aiohttp's own come from the body of an answer, the parser's from one cut short."""
CLIENT_OPTIONS: Final[dict[str, Any]] = {
    "connect_timeout": 3,
    "read_timeout": 10,
    "retries": {"mode": "standard", "total_max_attempts": 1},
    "user_agent_extra": aws.USER_AGENT,
}
"""For aiobotocore's AioConfig; seconds, a long poll among them."""
TRIES: Final = 8
"""One call in five failing, all eight fail once in 400,000."""
FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 5.0


async def persist[T](
    call: Callable[[], Awaitable[T]], worth_it: Callable[[], bool] = lambda: True, tries: int | None = TRIES
) -> T:
    """What ``call`` gives, after up to ``tries`` attempts (None: any number) while it is ``worth_it``.

    Pauses grow and are drawn by lot, so that workers that failed together do not come back together. Raises what the
    last attempt raised; at once what no other attempt would mend.
    """
    enough = tenacity.stop_never if tries is None else tenacity.stop_after_attempt(tries)
    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, FAULTS) and aws.is_passing(error)),
        stop=lambda state: enough(state) or not worth_it(),
        wait=tenacity.wait_random_exponential(multiplier=FIRST_PAUSE_SECONDS, max=LONGEST_PAUSE_SECONDS),
        reraise=True,
    )
    async for attempt in retrying:
        with attempt:
            return await call()
    raise AssertionError("the last attempt raises")
