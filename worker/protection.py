"""Scale-in protection: while a project is in hand, ECS stops another task when it scales in or deploys.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Final

import aiohttp

from shared import telemetry
from shared.errors import one_line

PROTECTED_MINUTES: Final = 60
"""1 to 2,880 (ECS). A worker that hangs, or whose word that it is idle is lost, holds up a deployment for that long."""
RENEWAL_SECONDS: Final = PROTECTED_MINUTES * 60 / 3
"""Protection is on for two thirds of its term when a renewal begins to fail."""
RETRY_SECONDS: Final = 30.0
"""After a failure; ECS scales on alarms of a minute and more, and an agent that is in trouble is not pressed."""
PATIENCE_SECONDS: Final = 5.0
"""With one request. ECS's agent gives up its own call after 4 s, so that nothing is under way any more when we do."""

log = telemetry.logger("protection")


class Protection:
    """Keeps this task from being scaled in; on no ECS (``agent_uri`` None) there is nothing to do.

    An agent that fails is logged, and asked again while protection is on; no error comes from here. It is asked one
    thing at a time and in the order of the calls, so that the last word counts.
    """

    def __init__(
        self,
        agent_uri: str | None,
        patience_seconds: float = PATIENCE_SECONDS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._state_url = f"{agent_uri}/task-protection/v1/state" if agent_uri else None
        self._timeout = aiohttp.ClientTimeout(total=patience_seconds)
        self._sleep = sleep
        self._turn = asyncio.Lock()
        self._renewing: asyncio.Task[None] | None = None

    async def on(self) -> None:
        """Protect the task until ``off``; returns when the agent has answered or was given up, at once if it is on."""
        async with self._turn:
            if self._state_url is None or self._renewing:
                return
            protected = False
            try:
                protected = await self._ask(self._state_url, enabled=True)
            finally:  # cancelled: the agent may have heard, so that off() has something to take back
                renewing = self._renew(self._state_url, protected=protected)
                # In a context of its own: what is bound to log lines here is the first of many projects.
                self._renewing = asyncio.create_task(renewing, context=Context())

    async def off(self) -> None:
        """Let the task be scaled in; at once if it is off. If the agent fails, protection ends with its term."""
        async with self._turn:
            if self._state_url is None or self._renewing is None:
                return
            self._renewing.cancel()
            self._renewing = None
            await self._ask(self._state_url, enabled=False)

    async def _renew(self, url: str, *, protected: bool) -> None:
        while True:
            await self._sleep(RENEWAL_SECONDS if protected else RETRY_SECONDS)
            async with self._turn:
                protected = await self._ask(url, enabled=True)

    async def _ask(self, url: str, *, enabled: bool) -> bool:
        wish: dict[str, bool | int] = {"ProtectionEnabled": enabled}
        if enabled:
            wish["ExpiresInMinutes"] = PROTECTED_MINUTES
        try:
            async with aiohttp.request("PUT", url, json=wish, timeout=self._timeout) as answer:
                problem = _problem(answer.status, await answer.text(errors="replace"))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            problem = f"{type(error).__name__}: {error}"
        if problem:
            log.warning("scale-in protection not set", enabled=enabled, error=one_line(problem))
        else:
            log.info("scale-in protection set", enabled=enabled)
        return problem is None


def _problem(status: int, body: str) -> str | None:
    """Why the agent did not do as asked; a failure of ECS's comes with status 200."""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    match answer:
        case {"protection": _}:
            return None
        case {"failure": {"Reason": reason, **rest}}:
            return f"{reason} {rest.get('Detail') or ''}"
        case {"error": {"Code": code, "Message": message}}:
            return f"{code}: {message}"
    return f"HTTP {status}: {body}"
