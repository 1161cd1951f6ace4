"""Small real HDF5 files, and edits to them that an input spells out byte by byte."""

import io
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any, Final

import h5py
import numpy as np

from tests.matrices.building import MATRICES
from tests.tiny import tiny_projects

_WORTHY: Final = (0, 1, -1, 2**31 - 1, 2**31, -(2**31), 255, 65_536, 1e30, -0.5, np.nan, np.inf)
"""Values at the edges of what is read."""
_FIXED_LENGTHS: Final = (1, 2, 4)
"""Bases whose bytes may be flipped: HDF5 takes whatever memory a damaged text of variable length claims (4 GiB), before
anybody can look at it. A project's process has a ceiling for that."""
_MOST_EDITS: Final = 12
_MOST_BYTES: Final = 2**20
"""Of a dataset that an edit reads; the bases have less, but an edit before may have made it claim more."""
_CANNOT_BE: Final = (ArithmeticError, AttributeError, KeyError, OSError, RuntimeError, TypeError, ValueError)
"""What an edit raises that does not apply to its node."""


@cache
def bases() -> tuple[bytes, ...]:
    """One of each layout that is read."""
    tiny = tiny_projects()
    made = [tiny[name].contents for name in ("pancreas", "chr21", "scaled")]
    return (*made, _loom(), (MATRICES / "cellranger2_two_genomes.h5").read_bytes())


def _loom() -> bytes:
    """A corner of a real loom file."""
    made = io.BytesIO()
    with h5py.File(MATRICES / "pbmc300.loom") as old, h5py.File(made, "w") as new:
        new["matrix"] = old["matrix"][:200, :30]
        for group, length in (("row_attrs", 200), ("col_attrs", 30)):
            for name, column in old[group].items():
                new[f"{group}/{name}"] = column[:length]
        new["layers/estimated_counts"] = old["matrix"][:200, :30]
        new.attrs.update(old.attrs)
    return made.getvalue()


def edited(script: bytes) -> bytes:
    """The file that the first byte names, after the edits; an odd second byte flips bytes, an even one edits nodes."""
    numbers = iter(script)
    number = next(numbers, 0) % len(bases())
    base = bases()[number]
    if next(numbers, 0) % 2 and number in _FIXED_LENGTHS:
        return _flipped(base, numbers)
    made = io.BytesIO(base)
    with h5py.File(made, "r+") as file:
        for _ in range(_MOST_EDITS):
            with suppress(*_CANNOT_BE):
                if not _edit(file, numbers):
                    break
    return made.getvalue()


def _flipped(base: bytes, numbers: Iterator[int]) -> bytes:
    content = bytearray(base)
    for high in numbers:
        place = (high << 16 | next(numbers, 0) << 8 | next(numbers, 0)) % len(content)
        content[place] = next(numbers, 0)
    return bytes(content)


def _edit(file: h5py.File, numbers: Iterator[int]) -> bool:
    """One edit; False where the script is at its end."""
    kind = next(numbers, None)
    if kind is None:
        return False
    names: list[str] = []
    file.visit(names.append)
    name = names[next(numbers, 0) % len(names)]
    node, argument = file[name], next(numbers, 0)
    if isinstance(node, h5py.Dataset) and node.nbytes > _MOST_BYTES:
        return True
    edits = [_remove, _rename, _retype, _shorten, _inflate, _set_value, _set_value, _drop_attribute, _set_attribute]
    edits[kind % len(edits)](file, name, node, argument)
    return True


def _remove(file: h5py.File, name: str, _: Any, __: int) -> None:
    del file[name]


def _rename(file: h5py.File, name: str, _: Any, argument: int) -> None:
    names = ("X", "raw/X", "layers/counts", "obs", "var", "matrix", "data", "obs/assay", "var/feature_name", "x")
    file.move(name, names[argument % len(names)])


def _retype(file: h5py.File, name: str, node: Any, argument: int) -> None:
    kinds = ("<f8", "<f4", "<i8", "<i4", "u1", "S4", "<f2", "<u8", "?", "<c8")
    values = node[()].astype(kinds[argument % len(kinds)])
    del file[name]
    file[name] = values


def _shorten(file: h5py.File, name: str, node: Any, argument: int) -> None:
    values = node[()][: argument % (len(node) + 1)] if argument % 2 else np.concatenate([node[()], node[()]])
    if argument % 5 == 4:
        values = values[None]
    del file[name]
    file[name] = values


def _inflate(file: h5py.File, name: str, node: Any, argument: int) -> None:
    """As many values as no disk holds, none of them stored."""
    shape = [2 ** (20 + argument % 20)] + [1] * (node.ndim - 1)
    kind = node.dtype
    del file[name]
    file.create_dataset(name, shape, kind, chunks=(1_024, *shape[1:]))


def _set_value(_: h5py.File, __: str, node: Any, argument: int) -> None:
    place = argument % len(node)
    node[place] = _WORTHY[(argument * 7 + place) % len(_WORTHY)]


def _drop_attribute(_: h5py.File, __: str, node: Any, argument: int) -> None:
    names = sorted(node.attrs)
    del node.attrs[names[argument % len(names)]]


def _set_attribute(_: h5py.File, __: str, node: Any, argument: int) -> None:
    names = sorted(node.attrs)
    values = ("csc_matrix", "csr", b"\xff", -1, [0, 0], [2**40, 2**40], "nullable-integer", 1.5, [3])
    node.attrs[names[argument % len(names)]] = values[argument // 8 % len(values)]
