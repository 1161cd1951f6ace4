"""One GET by the portals' protocol: every hop is checked before it is asked, and a wait asked for is waited.

No proxy of the environment is used, since it would connect to addresses that nobody looked at. No cookie, credential or
body is ever sent, and no content encoding is undone: what was stored is what is handed on.
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Final
from urllib.parse import quote, urljoin

from shared.errors import AccessDeniedError, MatrixNotFoundError, SourceUnavailableError, one_line
from shared.keys import shown
from shared.portal import BUSY, FORBIDDEN, GONE, USER_AGENT, retry_after
from worker.addresses import AllowedPlaces, Place, is_public
from worker.landing import CHUNK_BYTES

CONNECT_SECONDS: Final = 5
READ_SECONDS: Final = 20
"""How long a server may be silent."""
MAX_HOPS: Final = 10
"""Redirects from the message's address to the file; Azul needs two."""
MOST_WAITED_SECONDS: Final = 3_600.0
"""For a file that its portal has to prepare, all waits together."""

_HEADERS: Final = {
    "User-Agent": USER_AGENT,
    "Connection": "close",
}
"""Beside them http.client sends Host, and that it takes no encoding but identity."""
_AS_IT_STANDS: Final = ":/?#[]@!$&'()*+,;=%-._~"
"""Of a Location; blanks and letters beyond ASCII, which some servers send, are percent-encoded as browsers do it."""
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_GIVEN: Final = frozenset({HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE})


class TryAgainError(Exception):
    """The same request may go well after a pause, of ``after`` seconds where the server says so."""

    def __init__(self, text: str, after: float | None = None) -> None:
        super().__init__(text)
        self.after = after


@dataclass(frozen=True, slots=True)
class Answer:
    """What stands at the end of the hops (200, 206 or 416)."""

    response: HTTPResponse
    place: Place

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.response.status

    @property
    def size(self) -> int | None:
        """Length of the body in bytes, before any of it is read; None where it is not said."""
        return self.response.length

    def header(self, name: str) -> str | None:
        """A header's value."""
        return self.response.getheader(name)

    def chunks(self) -> Iterator[bytes]:
        """The body as it was stored, as far as it comes; TryAgainError where the connection breaks."""
        while chunk := self._read():
            yield chunk

    def _read(self) -> bytes:
        with _explaining(self.place):
            return self.response.read(CHUNK_BYTES)


def _addresses(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


@dataclass(frozen=True, slots=True)
class Client:
    """Asks for files; clock and name service are given, so that a test needs neither."""

    allowed: AllowedPlaces
    sleep: Callable[[float], None] = time.sleep
    look_up: Callable[[str, int], list[str]] = _addresses

    @contextmanager
    def get(self, uri: str, headers: Mapping[str, str]) -> Iterator[Answer]:
        """The file at ``uri``, wherever its redirects lead; TryAgainError where a later try may go better."""
        url, location, hops, waited = uri, "", 0, 0.0
        while hops <= MAX_HOPS and waited <= MOST_WAITED_SECONDS:
            try:
                url = urljoin(url, quote(location.encode("latin-1"), safe=_AS_IT_STANDS))
                place = self.allowed.place(url)
                addresses = self._resolve(place)
            except ValueError as error:
                raise AccessDeniedError(f"{shown(uri)}: {error}") from None
            with _asked(place, addresses, headers) as response:
                if response.status not in _REDIRECTS:
                    _check_status(uri, place, response)
                    yield Answer(response, place)
                    return
                location = response.getheader("Location", "")
                wait = _pause(response) if response.status == HTTPStatus.MOVED_PERMANENTLY else None
            if not location:
                raise SourceUnavailableError(f"{shown(uri)}: {place.host} sends elsewhere without saying where")
            if wait is None:
                hops += 1
            else:
                waited += wait
                self.sleep(wait)
        raise SourceUnavailableError(
            f"{shown(uri)}: no file after {hops} redirects and {waited:,.0f} s of waiting for its portal"
        )

    def _resolve(self, place: Place) -> list[str]:
        """The addresses of the host, each of them public; ValueError where one is not."""
        with _explaining(place):
            addresses = self.look_up(place.host, place.port)
        for address in addresses:
            if not (place.portal or is_public(address)):
                raise ValueError(f"{place.host} is at {address}, which is no public address; check DPSS_ALLOWED_HOSTS")
        return addresses


def _pause(response: HTTPResponse) -> float | None:
    return retry_after(response.getheader("Retry-After"))


def _check_status(uri: str, place: Place, response: HTTPResponse) -> None:
    text = f"{shown(uri)}: {place.host} answered {response.status}"
    if response.status in GONE:
        raise MatrixNotFoundError(text)
    if response.status in FORBIDDEN:
        raise AccessDeniedError(text)
    if response.status in BUSY or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise TryAgainError(f"{place.host} answered {response.status}", _pause(response))
    if response.status not in _GIVEN:
        raise SourceUnavailableError(text)


@contextmanager
def _asked(place: Place, addresses: list[str], headers: Mapping[str, str]) -> Iterator[HTTPResponse]:
    with _explaining(place):
        connection = _open(place, addresses)
    with closing(connection):
        with _explaining(place):
            connection.request("GET", place.target, headers={**_HEADERS, **headers})
            response = connection.getresponse()
        with response:
            yield response


def _open(place: Place, addresses: list[str]) -> HTTPConnection:
    """A connection to one of ``addresses``: the name is not looked up a second time, when it might lead elsewhere."""
    plain = _connect(addresses, place.port)
    if place.scheme == "http":
        connection = HTTPConnection(place.host, place.port)
        connection.sock = plain
    else:
        context = ssl.create_default_context()
        connection = HTTPSConnection(place.host, place.port, context=context)
        connection.sock = context.wrap_socket(plain, server_hostname=place.host)
    connection.auto_open = 0
    return connection


def _connect(addresses: list[str], port: int) -> socket.socket:
    refusal = OSError("no address")
    for address in addresses:
        try:
            connected = socket.create_connection((address, port), CONNECT_SECONDS)
        except OSError as error:
            refusal = error
        else:
            connected.settimeout(READ_SECONDS)
            return connected
    raise refusal


@contextmanager
def _explaining(place: Place) -> Iterator[None]:
    """A network's failure in our words: another try may help, but not with a certificate that is not trusted."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise SourceUnavailableError(f"{place.host} shows a bad certificate: {error.verify_message}") from error
    except (OSError, HTTPException) as error:
        raise TryAgainError(f"{place.host}: {one_line(str(error) or type(error).__name__)}") from error
