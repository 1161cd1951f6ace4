"""A portal on loopback that answers by a script: each path has replies, given in turn; the last one stays.

Paths without a script are answered ``otherwise``, by default that nothing is there.
"""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ADDRESS = "127.0.0.1"
POLL_SECONDS = 0.05
"""How long the server may take to notice that it is to close."""


@dataclass(frozen=True)
class Request:
    """What was asked for."""

    path: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Reply:
    """What is answered; the connection is cut after ``sent`` bytes of the body where that is given."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    sent: int | None = None
    says_length: bool = True


Script = Callable[[Request], Reply]


def nothing(_request: Request) -> Reply:
    """Nothing is there."""
    return Reply(404)


def redirect(location: str, status: int = 302, **headers: str) -> Reply:
    """The file is elsewhere."""
    return Reply(status, {"Location": location} | {name.replace("_", "-"): value for name, value in headers.items()})


def file(body: bytes, etag: str = '"one"', sent: int | None = None, *, etag_holds: bool = True) -> Script:
    """A file that can be asked for by range, under a condition unless the server forgets it."""

    def answer(request: Request) -> Reply:
        whole = Reply(200, {"ETag": etag} if etag else {}, body, sent)
        wanted = request.headers.get("Range")
        if wanted is None or (etag_holds and request.headers.get("If-Range") != etag):
            return whole
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        place = f"bytes {start}-{len(body) - 1}/{len(body)}"
        return Reply(206, {"ETag": etag, "Content-Range": place}, body[start:], sent)

    return answer


@dataclass
class Portal:
    """The server's address, what it is to answer, and what it was asked."""

    url: str
    replies: dict[str, list[Reply | Script]] = field(default_factory=dict)
    asked: list[Request] = field(default_factory=list)
    otherwise: Script = nothing

    def answers(self, path: str, *replies: Reply | Script) -> str:
        """Script ``path``; gives its full address."""
        self.replies[path] = list(replies)
        return self.url + path

    def reply(self, request: Request) -> Reply:
        """What is next for this request."""
        self.asked.append(request)
        waiting = self.replies.get(request.path, [self.otherwise])
        found = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return found if isinstance(found, Reply) else found(request)


@contextmanager
def serving(tls: ssl.SSLContext | None = None, name: str = ADDRESS) -> Iterator[Portal]:
    """A portal that is asked as ``name`` on a free port of loopback, until the block ends."""
    portal = Portal("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            reply = portal.reply(Request(self.path, dict(self.headers)))
            self.send_response(reply.status)
            for header, value in reply.headers.items():
                self.send_header(header, value)
            if reply.says_length:
                self.send_header("Content-Length", str(len(reply.body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(reply.body[: reply.sent])
            self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """Say nothing: clients that hang up are what is tested."""

        def finish_request(self, request: Any, client_address: Any) -> None:
            wrapped = tls.wrap_socket(request, server_side=True) if tls else request
            with wrapped:
                super().finish_request(wrapped, client_address)

    with Server((ADDRESS, 0), Handler) as server:
        portal.url = f"{'https' if tls else 'http'}://{name}:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,))
        thread.start()
        try:
            yield portal
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def listening() -> Iterator[socket.socket]:
    """A socket on loopback that nobody is to connect to."""
    with socket.create_server((ADDRESS, 0)) as server:
        server.settimeout(0)
        yield server


def was_left_alone(server: socket.socket) -> bool:
    """Whether nobody connected so far."""
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return True
    return False
