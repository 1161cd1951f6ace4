"""An HTTP server between a client and the embedded AWS that fails what it is told to, and passes on the rest."""

import json
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Request:
    """What a client asked for; ``action`` is the SQS call, empty for S3."""

    method: str
    path: str
    action: str
    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """What the server says itself."""

    status: int
    body: bytes


Rule = Callable[[Request], Answer | None]


def says(path: str, answer: Answer) -> Rule:
    """Every request whose path contains ``path`` is answered so."""
    return lambda request: answer if path in request.path else None


def s3_error(status: int, code: str, path: str) -> Rule:
    """Every request whose path contains ``path`` is answered with an S3 error."""
    return says(path, Answer(status, f"<Error><Code>{code}</Code><Message>told to fail</Message></Error>".encode()))


def sqs_error(status: int, code: str, action: str) -> Rule:
    """Every SQS call of this name is answered with an error."""
    body = json.dumps({"__type": f"com.amazonaws.sqs#{code}", "message": "told to fail"}).encode()
    return lambda request: Answer(status, body) if request.action == action else None


class FaultyServer(AbstractContextManager["FaultyServer"]):
    """Rules are asked in turn and the first that answers is served; see fail_entries for single entries of a batch."""

    def __init__(self, upstream: str) -> None:
        self.rules: list[Rule] = []
        self.requests: list[Request] = []
        self._upstream = urlsplit(upstream).netloc
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                outer._serve(self)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _serve  # noqa: N815 - http.server's names

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
                """Tests read what the command says, not the server."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def calls(self, action: str) -> int:
        """How often an SQS call was made."""
        return sum(request.action == action for request in self.requests)

    def fail_entries(self, action: str, failing: Callable[[dict[str, Any]], bool], *, sender_fault: bool) -> None:
        """In batch calls of this name, entries for which ``failing`` is true fail and the others are passed on."""

        def rule(request: Request) -> Answer | None:
            if request.action != action:
                return None
            asked = json.loads(request.body)
            failed = [entry for entry in asked["Entries"] if failing(entry)]
            if not failed:
                return None
            asked["Entries"] = [entry for entry in asked["Entries"] if entry not in failed]
            rest = replace(request, body=json.dumps(asked).encode())
            answer = json.loads(self._pass_on(rest).body) if asked["Entries"] else {}
            answer["Failed"] = [
                {"Id": entry["Id"], "SenderFault": sender_fault, "Code": "ToldToFail", "Message": "as told"}
                for entry in failed
            ]
            return Answer(200, json.dumps(answer).encode())

        self.rules.append(rule)

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        target = handler.headers.get("X-Amz-Target", "")
        action, body = target.rpartition(".")[2], handler.rfile.read(length)
        request = Request(handler.command, handler.path, action, body, dict(handler.headers.items()))
        self.requests.append(request)
        answers = (rule(request) for rule in self.rules)
        answer = next((answer for answer in answers if answer), None) or self._pass_on(request)
        handler.send_response(answer.status)
        for name, value in getattr(answer, "headers", {}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(answer.body)))
        handler.end_headers()
        if request.method != "HEAD":
            handler.wfile.write(answer.body)

    def _pass_on(self, request: Request) -> "PassedOn":
        own = {"host", "content-length", "expect"}
        given = {name: value for name, value in request.headers.items() if name.lower() not in own}
        connection = HTTPConnection(self._upstream)
        try:
            connection.request(request.method, request.path, request.body, given)
            response = connection.getresponse()
            kept = {
                name: value
                for name, value in response.getheaders()
                if name.lower() not in {"content-length", "connection", "transfer-encoding", "date", "server"}
            }
            return PassedOn(response.status, response.read(), kept)
        finally:
            connection.close()


@dataclass(frozen=True)
class PassedOn(Answer):
    """What the embedded server said, with its headers."""

    headers: dict[str, str]
