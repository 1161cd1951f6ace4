"""Text in pieces of whole lines, read into memory that is used again."""

import io
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from shared.errors import CorruptMatrixError
from worker.matrices.digits import Bytes

MAX_LINE_BYTES: Final = 2**28
"""256 MiB: a row of text with 100 M values."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Whole lines, each with its end: the first ``n_bytes`` of ``memory``, which may be longer."""

    memory: bytearray
    n_bytes: int

    def __bytes__(self) -> bytes:
        return bytes(memoryview(self.memory)[: self.n_bytes])

    @property
    def array(self) -> Bytes:
        """The same memory as numbers."""
        return np.frombuffer(self.memory, np.uint8, self.n_bytes)

    def line_at(self, start: int) -> bytes:
        """The line that starts there, without its end."""
        return bytes(self.memory[start : self.memory.index(b"\n", start)])


class LineReader:
    """Pieces of a stream, about ``size`` bytes each; the last line is given an end if it has none.

    Inflating into new memory takes half as long again as into memory that was used before: who is done with a piece
    gives it back.
    """

    def __init__(self, stream: io.BufferedReader, name: str, size: int) -> None:
        self._stream = stream
        self._name = name
        self._size = size
        self._spare: deque[bytearray] = deque()

    def give_back(self, lines: Lines) -> None:
        """The piece and its array are not looked at any more."""
        self._spare.append(lines.memory)

    def __iter__(self) -> Iterator[Lines]:
        rest = b""
        while True:
            n_bytes = len(rest) + max(self._size, len(rest))
            memory = self._memory(n_bytes)
            memory[: len(rest)] = rest
            filled = len(rest) + self._stream.readinto(memoryview(memory)[len(rest) : n_bytes])
            if filled == len(rest):
                break
            end = memory.rfind(b"\n", len(rest), filled) + 1
            rest = bytes(memory[end:filled])
            if len(rest) > MAX_LINE_BYTES:
                raise CorruptMatrixError(f"{self._name}: a line is longer than {MAX_LINE_BYTES:,} bytes")
            if end:
                yield Lines(memory, end)
            else:
                self._spare.append(memory)
        if rest:
            yield Lines(bytearray(rest + b"\n"), len(rest) + 1)

    def _memory(self, n_bytes: int) -> bytearray:
        memory = self._spare.popleft() if self._spare else bytearray()
        return memory if len(memory) >= n_bytes else bytearray(n_bytes)
