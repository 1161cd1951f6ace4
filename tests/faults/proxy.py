"""A server on loopback between a client and the embedded AWS: does to requests what it is told to, passes on the rest.

A rule looks at a request and names the reaction to it, or none; the first rule that names one is obeyed. A thread per
connection: a reaction may wait as long as it likes, and is released when the server closes.
"""

import contextlib
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Literal, Self, cast
from urllib.parse import urlsplit

Headers = tuple[tuple[str, str], ...]
ADDRESS: Final = "127.0.0.1"
POLL_SECONDS: Final = 0.1
"""How long the server may take to notice that it is to close."""
OF_ONE_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding"})
WITHOUT_LENGTH: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER: on, for 0 seconds."""


@dataclass(frozen=True)
class Request:
    """What a client asked for: ``path`` with its query, ``action`` the SQS call, empty for S3.

    ``client`` is the port it came from, ``at`` a time on the monotonic clock.
    """

    method: str
    path: str
    action: str
    body: bytes
    headers: Headers
    client: int
    at: float

    @property
    def service(self) -> Literal["sqs", "s3"]:
        """Whom it is for."""
        return "sqs" if self.action else "s3"


@dataclass(frozen=True)
class Answer:
    """What a client is answered; its length is added where it is sent."""

    status: int
    body: bytes = b""
    headers: Headers = ()

    def head(self) -> bytes:
        """Status line and headers."""
        headers = self.headers
        if self.status not in WITHOUT_LENGTH and "content-length" not in {name.lower() for name, _ in headers}:
            headers += (("Content-Length", str(len(self.body))),)
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


class Exchange:
    """One request, and what can be done about it."""

    def __init__(self, request: Request, handler: "_Handler") -> None:
        self.request = request
        self._handler = handler

    def pass_on(self, request: Request | None = None) -> Answer:
        """The embedded server's answer to the request, or to another."""
        return self._handler.server.pass_on(request or self.request)

    def send(self, answer: Answer) -> None:
        """Answer the client."""
        body = b"" if self.request.method == "HEAD" else answer.body
        self._handler.connection.sendall(answer.head() + body)

    def send_half(self, answer: Answer) -> None:
        """Answer the client with half of the body, or of the first line where there is no body, then cut."""
        head, body = answer.head(), b"" if self.request.method == "HEAD" else answer.body
        # Half of the headers would not do: Python's HTTP client takes them for all of them.
        self._handler.connection.sendall(head + body[: len(body) // 2] if body else head[: len("HTTP/1.")])
        self.cut()

    def cut(self) -> None:
        """End the connection without another word."""
        self._handler.close_connection = True
        with contextlib.suppress(OSError):
            self._handler.connection.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """End the connection as a broken network does."""
        self._handler.close_connection = True
        self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self._handler.connection.close()

    def wait_for_client(self, seconds: float) -> None:
        """Wait until the client gives up, at most for ``seconds``."""
        self._handler.connection.settimeout(seconds)
        with contextlib.suppress(OSError):
            self._handler.connection.recv(1, socket.MSG_PEEK)


Reaction = Callable[[Exchange], None]
Match = Callable[[Request], bool]
Rule = Callable[[Request], Reaction | None]


class FaultyServer(AbstractContextManager["FaultyServer"]):
    """Passes on to ``upstream`` until the block ends; ``requests`` are those so far, S3's without their bodies.

    A rule that raises fails the block.
    """

    def __init__(self, upstream: str) -> None:
        self.rules: list[Rule] = []
        self.requests: list[Request] = []
        self._server = _Server(urlsplit(upstream).netloc, self._react)
        self.address = f"http://{ADDRESS}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": POLL_SECONDS})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        if self._server.defects and error is None:
            raise self._server.defects[0]

    def sent(self, match: Match) -> list[Request]:
        """The requests so far that ``match``."""
        return [request for request in tuple(self.requests) if match(request)]

    def calls(self, action: str) -> int:
        """How often an SQS call was made."""
        return len(self.sent(lambda request: request.action == action))

    @contextmanager
    def imposed(self, rule: Rule) -> Iterator[None]:
        """Put ``rule`` before all others until the block ends."""
        self.rules.insert(0, rule)
        try:
            yield
        finally:
            self.rules.remove(rule)

    def _react(self, exchange: Exchange) -> None:
        request = exchange.request
        self.requests.append(request if request.service == "sqs" else replace(request, body=b""))
        reactions = (rule(request) for rule in tuple(self.rules))
        reaction = next((reaction for reaction in reactions if reaction), None)
        if reaction:
            reaction(exchange)
        else:
            exchange.send(exchange.pass_on())


class _Handler(BaseHTTPRequestHandler):
    """Reads the requests of one connection."""

    protocol_version = "HTTP/1.1"
    server: "_Server"

    def handle(self) -> None:
        with self.server.kept(self.connection):
            super().handle()

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionAbortedError
        self.server.react(Exchange(self._request(body), self))

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _serve  # noqa: N815 - http.server's names

    def _request(self, body: bytes) -> Request:
        action = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        headers = tuple(self.headers.items())
        return Request(self.command, self.path, action, body, headers, self.client_address[1], time.monotonic())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Tests read what the clients say, not the server."""


class _Server(ThreadingHTTPServer):
    """Threads that end with it: all their sockets are shut when it closes."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, upstream: str, react: Callable[[Exchange], None]) -> None:
        self.react = react
        self.defects: list[BaseException] = []
        self._upstream = upstream
        self._open: set[socket.socket] = set()
        self._closing = False
        self._turn = threading.Lock()
        super().__init__((ADDRESS, 0), _Handler)

    @contextmanager
    def kept(self, connection: socket.socket) -> Iterator[None]:
        """Know ``connection`` until the block ends, so that it can be shut."""
        with self._turn:
            if self._closing:
                raise ConnectionAbortedError
            self._open.add(connection)
        try:
            yield
        finally:
            with self._turn:
                self._open.discard(connection)

    def server_close(self) -> None:
        with self._turn:
            self._closing = True
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        super().server_close()

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - socketserver's names
        error = cast("BaseException", sys.exc_info()[1])
        if not isinstance(error, (OSError, HTTPException)):
            self.defects.append(error)

    def pass_on(self, request: Request) -> Answer:
        """Ask the embedded server the same, by a connection of its own."""
        connection = HTTPConnection(self._upstream)
        try:
            connection.connect()
            with self.kept(connection.sock):
                return _ask(connection, request)
        finally:
            connection.close()


def _ask(connection: HTTPConnection, request: Request) -> Answer:
    connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
    for name, value in request.headers:
        if name.lower() not in OF_ONE_HOP | {"content-length", "expect"}:
            connection.putheader(name, value)
    connection.putheader("Content-Length", str(len(request.body)))
    connection.putheader("Connection", "close")
    connection.endheaders(request.body)
    response = connection.getresponse()
    # The answer to HEAD tells the length of a body that it leaves out.
    left_out = OF_ONE_HOP if request.method == "HEAD" else OF_ONE_HOP | {"content-length"}
    kept = tuple((name, value) for name, value in response.getheaders() if name.lower() not in left_out)
    return Answer(response.status, response.read(), kept)
