"""A portal's JSON: asked politely, again where that may help, and never anywhere but at the portal itself."""

import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import closing
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import tenacity
import urllib3

from shared import telemetry
from shared.errors import AccessDeniedError, MatrixNotFoundError, SourceUnavailableError, one_line
from shared.keys import shown
from shared.portal import BUSY, FORBIDDEN, GONE, USER_AGENT, retry_after

TRIES: Final = 8
"""Answers that are busy, broken or cut before the portal counts as down; with the pauses, some three minutes."""
TIMEOUT: Final = urllib3.Timeout(connect=5, read=60)
"""Seconds; the second is how long the portal may be silent."""
ANSWER_SECONDS: Final = 600.0
"""For a whole answer, however slowly it comes."""
MAX_ANSWER_BYTES: Final = 134_217_728
"""128 MiB, some 4 GB as objects: CELLxGENE lists all its datasets in one answer; Azul's pages end at 6 MB."""
CHUNK_BYTES: Final = 1_048_576
REQUESTS: Final = 900
PERIOD_SECONDS: Final = 300.0
"""Of the 1,000 requests that Azul takes from one address in five minutes, some are left to others."""

_GROWING: Final = tenacity.wait_random_exponential(multiplier=0.5, max=60)

log = telemetry.logger("portal")


class _TryAgainError(Exception):
    """The same request may go well after a pause, of ``after`` seconds where the portal says so."""

    def __init__(self, text: str, after: float | None = None) -> None:
        super().__init__(text)
        self.after = after


class Portal:
    """The portal at ``url``, one request at a time; clock and sleep are given, so that a test need not wait."""

    def __init__(
        self,
        url: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url
        self._sleep, self._clock = sleep, clock
        self._begun = deque[float](maxlen=REQUESTS)
        headers = {"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "gzip"}
        self._pool = urllib3.PoolManager(headers=headers, retries=False, timeout=TIMEOUT)

    def get(self, path: str, **query: str | int) -> Any:
        """The document at a path below the portal's address; see ``follow``."""
        return self.follow(self._below(path, query))

    def find(self, path: str, **query: str | int) -> Any | None:
        """The same, or None where nothing is there."""
        try:
            return self._patiently(self._below(path, query))
        except MatrixNotFoundError:
            return None

    def follow(self, url: str) -> Any:
        """The document at ``url``, an address that the portal itself gave.

        Raises AccessDeniedError or SourceUnavailableError, each naming the address.
        """
        try:
            return self._patiently(url)
        except MatrixNotFoundError as error:
            raise SourceUnavailableError(f"{error}; check DPSS_PORTAL_URL") from error

    def _below(self, path: str, query: Mapping[str, str | int]) -> str:
        return f"{self.url}{path}?{urlencode(query)}" if query else f"{self.url}{path}"

    def _patiently(self, url: str) -> Any:
        if _origin(url) != _origin(self.url):
            raise SourceUnavailableError(f"{shown(url)}: the portal sends elsewhere, which is not followed")
        tries = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_TryAgainError),
            stop=tenacity.stop_after_attempt(TRIES),
            wait=_pause,
            before_sleep=_tell,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return tries(self._ask, url)
        except _TryAgainError as error:
            raise SourceUnavailableError(f"{shown(url)}: {error}; gave up after {TRIES} tries") from error

    def _ask(self, url: str) -> Any:
        self._keep_pace()
        try:
            with closing(self._pool.request("GET", url, redirect=False, preload_content=False)) as answer:
                _check_status(url, answer)
                body = self._body(url, answer)
        except urllib3.exceptions.LocationParseError as error:
            raise SourceUnavailableError(f"{shown(url)}: {one_line(str(error))}") from error
        except urllib3.exceptions.HTTPError as error:
            raise _TryAgainError(one_line(str(error))) from error
        return _document(body)

    def _body(self, url: str, answer: urllib3.BaseHTTPResponse) -> bytes:
        body, end = bytearray(), self._clock() + ANSWER_SECONDS
        while chunk := answer.read1(CHUNK_BYTES):
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise SourceUnavailableError(f"{shown(url)}: the answer is longer than {MAX_ANSWER_BYTES:,} bytes")
            if self._clock() > end:
                raise _TryAgainError(f"the answer was not whole after {ANSWER_SECONDS:,.0f} s")
        return bytes(body)

    def _keep_pace(self) -> None:
        if len(self._begun) == REQUESTS and (wait := self._begun[0] + PERIOD_SECONDS - self._clock()) > 0:
            log.info("waiting, to stay below the portal's limit of requests", seconds=round(wait, 1))
            self._sleep(wait)
        self._begun.append(self._clock())


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _check_status(url: str, answer: urllib3.BaseHTTPResponse) -> None:
    status = answer.status
    text = f"{shown(url)}: the portal answered {status}"
    if status in BUSY or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise _TryAgainError(f"the portal answered {status}", retry_after(answer.headers.get("Retry-After")))
    if status in GONE:
        raise MatrixNotFoundError(text)
    if status in FORBIDDEN:
        raise AccessDeniedError(text)
    if status != HTTPStatus.OK:
        raise SourceUnavailableError(text)


def _document(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _TryAgainError(f"the answer is no JSON ({one_line(str(error))})") from error


def _pause(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    after = error.after if isinstance(error, _TryAgainError) else None
    return _GROWING(state) if after is None else after


def _tell(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("asking again", problem=str(error), seconds=round(state.upcoming_sleep, 1))
