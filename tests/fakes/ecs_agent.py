"""An ECS agent on loopback: task scale-in protection and task metadata, as a container finds them."""

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

TASK_ARN = "arn:aws:ecs:us-east-1:123456789012:task/dpss/158d1c8083dd49d6b527399fd6414f5c"
LOG_GROUP = "/ecs/dpss-worker"
LOG_STREAM = "worker/worker/158d1c8083dd49d6b527399fd6414f5c"
REGION = "us-east-1"
PATIENCE_SECONDS = 120

type Answer = tuple[int, Any]


class Trouble(Enum):
    """How the agent fails: its own fault, ECS's failure (with status 200), a refusal, no answer until it recovers."""

    HTTP_500 = auto()
    FAILURE = auto()
    ERROR = auto()
    HANG = auto()


@dataclass(frozen=True)
class Asked:
    """One request as it came in; ``body`` of JSON, None without one."""

    method: str
    path: str
    body: Any


class EcsAgent:
    """Serves one task from a thread until the block ends; ``requests`` in order, from their arrival on."""

    def __init__(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                outer._serve(self)

            do_GET = do_PUT = _serve  # noqa: N815 - http.server's names

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
                """Tests read what the worker says, not the server."""

        self.requests: list[Asked] = []
        self.protected = False
        self.metadata: dict[str, Any] = {
            "/v4/container": {
                "Name": "worker",
                "LogDriver": "awslogs",
                "LogOptions": {"awslogs-group": LOG_GROUP, "awslogs-region": REGION, "awslogs-stream": LOG_STREAM},
            },
            "/v4/container/task": {"Cluster": "dpss", "TaskARN": TASK_ARN, "Family": "dpss-worker", "Revision": "7"},
        }
        self._trouble: Trouble | None = None
        self._hanging = 0
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        address = f"http://127.0.0.1:{self._server.server_port}"
        self.agent_uri = f"{address}/api/container"
        self.metadata_uri = f"{address}/v4/container"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.recover()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def environ(self) -> dict[str, str]:
        """What ECS puts into the environment of a container."""
        return {"ECS_AGENT_URI": self.agent_uri, "ECS_CONTAINER_METADATA_URI_V4": self.metadata_uri}

    def wishes(self) -> list[bool]:
        """What was asked for so far, answered well or not: protection on or off."""
        return [asked.body["ProtectionEnabled"] for asked in self.requests if asked.method == "PUT"]

    def fail(self, trouble: Trouble) -> None:
        """Meet every request with this trouble from now on."""
        self._set(trouble)

    def recover(self) -> None:
        """Answer well again; what is hanging has its answer, and its effect, before this ends."""
        self._set(None)
        self.wait_for(lambda _: not self._hanging)

    def _set(self, trouble: Trouble | None) -> None:
        with self._changed:
            self._trouble = trouble
            self._changed.notify_all()

    def wait_for(self, state: Callable[[Self], bool]) -> None:
        """Return as soon as the agent is in that state, looked at with every request and answer."""
        with self._changed:
            if not self._changed.wait_for(lambda: state(self), PATIENCE_SECONDS):
                raise TimeoutError(f"the agent was asked only {self.requests}")

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        asked = Asked(handler.command, handler.path, json.loads(body) if body else None)
        with self._changed:
            self.requests.append(asked)
            self._changed.notify_all()
            status, content = self._answer(asked)
        text = (content if isinstance(content, str) else json.dumps(content)).encode()
        with suppress(ConnectionError):  # who asked has given up
            handler.send_response(status)
            handler.send_header("Content-Length", str(len(text)))
            handler.end_headers()
            handler.wfile.write(text)

    def _answer(self, asked: Asked) -> Answer:
        self._hanging += 1
        self._changed.wait_for(lambda: self._trouble is not Trouble.HANG)
        self._hanging -= 1
        self._changed.notify_all()
        match self._trouble:
            case Trouble.HTTP_500:
                return 500, "the agent is out of order"
            case Trouble.FAILURE:
                return 200, {"failure": {"Arn": TASK_ARN, "Detail": None, "Reason": "DEPLOYMENT_BLOCKED"}}
            case Trouble.ERROR:
                message = "not authorized to perform ecs:UpdateTaskProtection"
                return 400, {"error": {"Arn": TASK_ARN, "Code": "AccessDeniedException", "Message": message}}
        if asked.method == "PUT" and asked.path == "/api/container/task-protection/v1/state":
            return self._protect(asked.body)
        if asked.method == "GET" and asked.path in self.metadata:
            return 200, self.metadata[asked.path]
        return 404, "404 page not found"

    def _protect(self, wish: Any) -> Answer:
        """As strict as the agent, which refuses fields that it does not know."""
        match wish:
            case {"ProtectionEnabled": bool(enabled), **rest} if rest.keys() <= {"ExpiresInMinutes"}:
                minutes = rest.get("ExpiresInMinutes", 120)
                if type(minutes) is int and 1 <= minutes <= 2_880:
                    self.protected = enabled
                    self._changed.notify_all()
                    return 200, {"protection": {"ProtectionEnabled": enabled, "TaskArn": TASK_ARN}}
        return 400, {"error": {"Code": "InvalidParameterException", "Message": "failed to decode request"}}
