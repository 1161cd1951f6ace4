"""Processes that are measured from outside: wall time from their start, and their peak memory."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import click

from worker import limits

SHOWN_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True)
class Cost:
    """Wall time, and the most that the process had in RAM, imports included."""

    seconds: float
    peak_mib: float


def own_peak_mib() -> float:
    """The most that this process had in RAM since it was started (VmHWM of proc_pid_status(5))."""
    size = limits.resident_mib(os.getpid())
    if size is None:
        raise click.ClickException("peak memory is read from /proc, which this system has not")
    return size.peak


@contextmanager
def started(module: str, arguments: Sequence[str], *, heard: bool = False) -> Iterator["subprocess.Popen[str]"]:
    """``python -m module`` with its stdin and stdout at hand, over at the end: waited for, or killed if ours failed.

    Its stderr is ours where it is to be ``heard``. ClickException where it failed itself, else with the end of stderr.
    """
    command = [sys.executable, "-m", module, *arguments]
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=None if heard else errors, text=True) as process,
    ):
        try:
            yield process
            assert process.stdin
            process.stdin.close()
            process.wait()
        except EOFError:
            process.wait()
        except BaseException:
            process.kill()
            raise
        if process.returncode:
            errors.seek(0)
            raise click.ClickException(f"{' '.join(command[1:])} failed:\n{errors.read()[-SHOWN_CHARACTERS:]}")


def next_line(process: "subprocess.Popen[str]") -> str:
    """What it says next; EOFError where it ended instead."""
    assert process.stdout
    if line := process.stdout.readline():
        return line.strip()
    raise EOFError


def all_output(process: "subprocess.Popen[str]") -> str:
    """What it says until its end; EOFError where that is nothing."""
    assert process.stdout
    if text := process.stdout.read():
        return text
    raise EOFError


def folder_of_one_run() -> "tempfile.TemporaryDirectory[str]":
    """For what is made and not kept."""
    return tempfile.TemporaryDirectory(prefix="bench-")
