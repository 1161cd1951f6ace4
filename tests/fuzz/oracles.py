"""The same readings, done slowly and plainly in Python: what the compiled parsers are held against."""

import re

import numpy as np
import numpy.typing as npt

NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
INDEX = re.compile(rb"-?\d+")
Dense = npt.NDArray[np.float64]


def number_at_start(text: bytes) -> tuple[float, int]:
    """The decimal number that ``text`` begins with, and its length; (0, 0) where there is none."""
    match = NUMBER.match(text)
    return (float(match[0]), match.end()) if match else (0.0, 0)


def index_at_start(text: bytes) -> tuple[int, int]:
    """The whole number that ``text`` begins with, and its length; (0, 0) where there is none."""
    match = INDEX.match(text)
    return (int(match[0]), match.end()) if match else (0, 0)


def market_shape(text: bytes) -> tuple[tuple[int, int, int], bytes]:
    """Rows, columns and entries that a MatrixMarket header says, and what follows it; three ones where it says none."""
    _, *lines = text.split(b"\n")
    for place, line in enumerate(lines):
        if line.strip() and not line.startswith(b"%"):
            fields = line.split()
            sizes = [int(field) for field in fields if field.isdigit()]
            n_rows, n_columns, n_entries = sizes if len(sizes) == len(fields) == 3 else (1, 1, 1)
            return (n_rows, n_columns, n_entries), b"\n".join(lines[place + 1 :])
    return (1, 1, 1), b""


def market_entries(body: bytes, n_rows: int, n_columns: int, n_entries: int) -> Dense | None:
    """The matrix, rows by columns, that the lines after a MatrixMarket header hold; None where one is wrong."""
    dense = np.zeros((n_rows, n_columns))
    lines = [line.strip(b" \t\r") for line in body.split(b"\n")]
    entries = [re.split(rb"[ \t\r]+", line) for line in lines if line]
    if len(entries) != n_entries:
        return None
    for fields in entries:
        if len(fields) != 3 or not (INDEX.fullmatch(fields[0]) and INDEX.fullmatch(fields[1])):
            return None
        row, column, value = int(fields[0]), int(fields[1]), as_count(fields[2])
        if value is None or not (1 <= row <= n_rows and 1 <= column <= n_columns):
            return None
        dense[row - 1, column - 1] += value
    return dense


def as_count(field: bytes) -> float | None:
    """A value a count may have: a number that is not negative and no larger than a float32."""
    if not NUMBER.fullmatch(field) or float(field) < 0:
        return None
    with np.errstate(over="ignore"):
        value = np.float32(float(field))
    return float(value) if np.isfinite(value) else None


def text_values(text: bytes) -> Dense | None:
    """The values of a text table without quotes, in its own order; None where a row is wrong."""
    header, _, body = text.partition(b"\n")
    delimiter = max([b"\t", b",", b";"], key=header.count)
    rows = [line.removesuffix(b"\r").split(delimiter) for line in body.split(b"\n") if line.removesuffix(b"\r")]
    n_labels = next(place for place, field in enumerate(rows[0]) if place and _is_float(field))
    values = [[as_count(field.strip(b" \r")) for field in row[n_labels:]] for row in rows]
    if len({len(row) for row in rows}) > 1 or any(None in row for row in values):
        return None
    return np.array(values, np.float64)


def _is_float(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
