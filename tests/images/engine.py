"""What builds and runs images on this machine: Docker, Podman, or buildah where neither has an engine to talk to."""

import json
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.fleet.conftest import below, eventually

ROOT = Path(__file__).parents[2]
BUILD_SECONDS = 1_800
HOSTS_OWN = ("/etc/pip.conf", "/etc/ssl/certs")
"""What a machine behind a proxy of its own needs to install packages; mounted while building, not part of an image."""
ANYBODY = "4711:4711"
"""A user that no image knows."""
BUILDAH = ("buildah", "--storage-driver=vfs")


@dataclass(frozen=True)
class Running:
    """A container: the client that waits for it, SIGTERM to its first process, and a command beside that."""

    client: "subprocess.Popen[bytes]"
    stop: Callable[[], object]
    run: Callable[..., str]

    def wait(self, seconds: float) -> int:
        """The container's exit code."""
        return self.client.wait(seconds)


class Engine(Protocol):
    """Builds images and runs them."""

    def build(self, dockerfile: str, tag: str, base: str) -> None:
        """An image of the repository's ``dockerfile``."""

    def size_bytes(self, tag: str) -> int:
        """The image, unpacked."""

    def config(self, tag: str) -> dict[str, Any]:
        """Its Docker configuration (``Entrypoint``, ``User``, ``Labels``, …)."""

    def running(
        self, tag: str, arguments: Sequence[str], environ: Mapping[str, str], log: Path, entrypoint: str = ""
    ) -> AbstractContextManager[Running]:
        """A context with the running container, as ANYBODY, with a root that cannot be written to."""

    def written(self) -> list[str]:
        """Files outside /scratch that containers have written, as far as the engine let them."""


def engine() -> Engine:
    """The first that works."""
    for name in ("docker", "podman"):
        if shutil.which(name) and subprocess.run([name, "info"], capture_output=True, check=False).returncode == 0:
            return _Daemon(name)
    if shutil.which("buildah"):
        return _Buildah([])
    raise RuntimeError("none of docker, podman and buildah works here; apt-get install buildah debootstrap")


def _run(*command: str, timeout: int = 120) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, cwd=ROOT)
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)}: {ended.stderr[-4_000:]}")
    return ended.stdout


@dataclass(frozen=True)
class _Daemon:
    """Docker, or Podman."""

    name: str

    def build(self, dockerfile: str, tag: str, base: str) -> None:
        _run(
            *(self.name, "build", "--build-arg", f"BASE_IMAGE={base}", "--file", dockerfile, "--tag", tag, "."),
            timeout=BUILD_SECONDS,
        )

    def size_bytes(self, tag: str) -> int:
        return int(_run(self.name, "image", "inspect", "--format", "{{.Size}}", tag))

    def config(self, tag: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(_run(self.name, "image", "inspect", "--format", "{{json .Config}}", tag))
        return found

    @contextmanager
    def running(
        self, tag: str, arguments: Sequence[str], environ: Mapping[str, str], log: Path, entrypoint: str = ""
    ) -> Iterator[Running]:
        container = f"dpss-test-{uuid.uuid4().hex}"
        variables = [part for name, value in environ.items() for part in ("--env", f"{name}={value}")]
        options = [
            "--name",
            container,
            "--rm",
            "--network",
            "host",
            "--read-only",
            "--tmpfs",
            "/scratch:mode=1777",
            "--user",
            ANYBODY,
        ]
        options += ["--entrypoint", entrypoint] if entrypoint else []
        command = [self.name, "run", *options, *variables, tag, *arguments]
        with log.open("wb") as stderr, _ended(subprocess.Popen(command, stderr=stderr)) as client:
            yield Running(
                client,
                stop=lambda: _run(self.name, "kill", "--signal", "TERM", container),
                run=lambda *beside: _run(self.name, "exec", container, *beside),
            )

    def written(self) -> list[str]:
        return []  # --read-only: a write would have failed


@dataclass(frozen=True)
class _Buildah:
    """Has no read-only root: what was written is looked at afterwards instead."""

    containers: list[str]

    def build(self, dockerfile: str, tag: str, base: str) -> None:
        own = [part for path in HOSTS_OWN if Path(path).exists() for part in ("--volume", f"{path}:{path}:ro")]
        _run(
            *(*BUILDAH, "bud", "--isolation=chroot", "--network=host", "--pull=never", "--format=docker", *own),
            *("--build-arg", f"BASE_IMAGE={base}", "--file", dockerfile, "--tag", tag, "."),
            timeout=BUILD_SECONDS,
        )

    def size_bytes(self, tag: str) -> int:
        mounted = _run(*BUILDAH, "from", "--pull=never", tag).strip()
        try:
            return 1_024 * int(_run("du", "-sk", _run(*BUILDAH, "mount", mounted).strip()).split()[0])
        finally:
            _run(*BUILDAH, "rm", mounted)

    def config(self, tag: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(_run(*BUILDAH, "inspect", "--type", "image", tag))["Docker"]["config"]
        return found

    @contextmanager
    def running(
        self, tag: str, arguments: Sequence[str], environ: Mapping[str, str], log: Path, entrypoint: str = ""
    ) -> Iterator[Running]:
        container = _run(*BUILDAH, "from", "--pull=never", tag).strip()
        self.containers.append(container)
        variables = [part for name, value in environ.items() for part in ("--env", f"{name}={value}")]
        command = [*([entrypoint] if entrypoint else self.config(tag)["Entrypoint"]), *arguments]
        options = ("--isolation=chroot", "--network=host", "--user", ANYBODY, *variables)
        marker = Path(_run(*BUILDAH, "mount", container).strip()) / "begun"
        marker.touch()
        within = [*BUILDAH, "run", *options, container, "--"]
        with log.open("wb") as stderr, _ended(subprocess.Popen([*within, *command], stderr=stderr)) as client:
            yield Running(
                client,
                stop=lambda: _terminate(client.pid, command),
                run=lambda *beside: _run(*within, *beside),
            )

    def written(self) -> list[str]:
        found = []
        for container in self.containers:
            root = _run(*BUILDAH, "mount", container).strip()
            outside = ("-path", f"{root}/scratch", "-prune", "-o", "-type", "f", "-newer", f"{root}/begun", "-print")
            found += [path.removeprefix(root) for path in _run("find", root, *outside).split()]
            _run(*BUILDAH, "rm", container)
        self.containers.clear()
        return [
            path for path in found if not path.startswith(("/etc/", "/run/"))
        ]  # buildah's own resolv.conf and so on


def _terminate(client: int, command: Sequence[str]) -> None:
    """SIGTERM to the process below ``client`` that is ``command`` itself, with no shell around it."""
    wanted = b"".join(part.encode() + b"\0" for part in command)

    def found() -> int | None:
        return next((pid for pid in sorted(below(client)) if _command_line(pid) == wanted), None)

    os.kill(eventually(found, "the container's own process"), signal.SIGTERM)


def _command_line(pid: int) -> bytes:
    try:
        program, separator, arguments = Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")
    except OSError:
        return b""
    return program.rpartition(b"/")[2] + separator + arguments


@contextmanager
def _ended(process: "subprocess.Popen[bytes]") -> Iterator["subprocess.Popen[bytes]"]:
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(120)


def base_image() -> str:
    """What the images stand on: BASE_IMAGE, else the official one."""
    return os.environ.get("BASE_IMAGE", "python:3.13-slim-bookworm")
