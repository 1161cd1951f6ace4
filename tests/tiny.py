"""Tiny real projects, cut from the sample matrices (sources and licences: ``infra/local/samples/README.md``).

A few kB each and quick to work, one for each kind of file, so that hundreds of them can go through a fleet.
"""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import numpy.typing as npt

from infra.local.samples import FOLDER

CELLS: Final = 30
GENES: Final = 200
Numbers = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Tiny:
    """A matrix file: ``suffix`` follows the project's id in its key, ``failure`` is the reason it has to fail with."""

    suffix: str
    contents: bytes
    failure: str | None = None


def tiny_projects() -> dict[str, Tiny]:
    """Seven, the same bytes in every process."""
    cut_short = _lung()[:-2_000]
    return {
        "blood": Tiny("homo_sapiens.mtx.zip", _blood()),
        "antibodies": Tiny("homo_sapiens.tar.gz", _antibodies()),
        "pancreas": Tiny("mus_musculus.h5ad", _pancreas()),
        "chr21": Tiny("homo_sapiens.h5", _chr21()),
        "lung": Tiny("csv.gz", _lung()),
        "scaled": Tiny("h5ad", _scaled(), failure="no_raw_counts"),
        "cut short": Tiny("csv.gz", cut_short, failure="corrupt_matrix"),
    }


def tiny_matrices(folder: Path) -> dict[str, Path]:
    """The same as files in ``folder``."""
    paths = {}
    for name, tiny in tiny_projects().items():
        paths[name] = folder / f"{name.replace(' ', '_')}.{tiny.suffix}"
        paths[name].write_bytes(tiny.contents)
    return paths


def _sample(name: str) -> bytes:
    return FOLDER.joinpath(name).read_bytes()


def _blood() -> bytes:
    """The first cells of an archive of the HCA Matrix Service."""
    with zipfile.ZipFile(io.BytesIO(_sample("pbmc3k.homo_sapiens.mtx.zip"))) as archive:
        unpacked = {
            name: gzip.decompress(archive.read(name)) for name in archive.namelist() if "matrix.mtx" not in name
        }
        (matrix,) = set(archive.namelist()) - unpacked.keys()
        entries = _entries(gzip.decompress(archive.read(matrix))[:2_000_000])  # ordered by cell
    kept = _most_counted(entries, GENES)
    members = {}
    for name, table in unpacked.items():
        lines, titled = table.splitlines(keepends=True), table.startswith((b"featurekey", b"cellkey"))
        rows = range(CELLS) if "cells" in name or "barcodes" in name else kept - 1
        members[name] = b"".join([*lines[:titled], *(lines[titled + row] for row in rows)])
    return _zip({name: _gzip(table) for name, table in (members | {matrix: _market(entries, kept)}).items()})


def _antibodies() -> bytes:
    """The first cells of a Cell Ranger folder, with all its features."""
    with tarfile.open(fileobj=io.BytesIO(_sample("citeseq.homo_sapiens.tar.gz"))) as archive:
        files = {member.name: archive.extractfile(member) for member in archive.getmembers()}
        members = {name: gzip.decompress(file.read()) for name, file in files.items() if file}
    for name, content in members.items():
        if "matrix.mtx" in name:
            entries = _entries(content)
            members[name] = _market(entries, np.arange(1, 118))
        elif "barcodes" in name:
            members[name] = b"".join(content.splitlines(keepends=True)[:CELLS])
    return _tar({name: _gzip(content) for name, content in members.items()})


def _entries(market: bytes) -> Numbers:
    """Gene, cell and count of each entry of the first cells; the last line may be cut."""
    lines = [line for line in market.splitlines() if not line.startswith(b"%")][1:-1]
    entries = np.array([[int(float(number)) for number in line.split()] for line in lines], np.int64)
    return entries[entries[:, 1] <= CELLS]


def _most_counted(entries: Numbers, number: int) -> Numbers:
    totals = np.bincount(entries[:, 0], weights=entries[:, 2])
    return np.sort(np.argsort(totals, kind="stable")[-number:])


def _market(entries: Numbers, kept: Numbers) -> bytes:
    """A MatrixMarket file of the ``kept`` genes, which are counted from 1."""
    rows = entries[np.isin(entries[:, 0], kept)]
    lines = [f"{np.searchsorted(kept, gene) + 1} {cell} {count}" for gene, cell, count in rows]
    header = f"%%MatrixMarket matrix coordinate integer general\n{len(kept)} {CELLS} {len(lines)}\n"
    return (header + "\n".join(lines) + "\n").encode()


def _pancreas() -> bytes:
    """The first cells of an h5ad of today, with the genes that are counted most."""
    with _hdf5(_sample("mouse_pancreas.mus_musculus.h5ad")) as old:
        counts = _dense(old["X"], CELLS, old["var/index"].size)
        kept = np.sort(np.argsort(counts.sum(axis=0), kind="stable")[-GENES:])

        def fill(new: h5py.File) -> None:
            for name, chosen in (("obs", np.arange(CELLS)), ("var", kept)):
                new.create_group(name).attrs.update(old[name].attrs)
                new[name]["index"] = old[name]["index"][()][chosen]
            new.create_group("X").attrs.update(old["X"].attrs)
            new["X"].attrs["shape"] = (CELLS, GENES)
            _fill_sparse(new["X"], counts[:, kept])

        return _made_hdf5(fill)


def _chr21() -> bytes:
    """The fullest cells of a Cell Ranger matrix, with all its genes."""
    with _hdf5(_sample("chr21.homo_sapiens.h5")) as old:
        matrix = old["matrix"]
        counts = _dense(matrix, matrix["barcodes"].size, matrix["features/id"].size)
        kept = np.sort(np.argsort(counts.sum(axis=1), kind="stable")[-CELLS:])

        def fill(new: h5py.File) -> None:
            old.copy("matrix/features", new.create_group("matrix"))
            new["matrix/barcodes"] = matrix["barcodes"][()][kept]
            new["matrix/shape"] = np.array([counts.shape[1], CELLS], np.int32)
            _fill_sparse(new["matrix"], counts[kept].astype(np.int32))

        return _made_hdf5(fill)


def _scaled() -> bytes:
    """The first cells of an h5ad of old, which has scaled and logged values only."""
    with _hdf5(_sample("no_raw_counts.h5ad")) as old:
        raw = _dense(old["raw.X"], CELLS, old["var"].size)

        def fill(new: h5py.File) -> None:
            new["X"], new["obs"] = old["X"][:CELLS], old["obs"][:CELLS]
            new["var"], new["raw.var"] = old["var"][()], old["raw.var"][()]
            new.create_group("raw.X").attrs.update(h5sparse_format="csr", h5sparse_shape=raw.shape)
            _fill_sparse(new["raw.X"], raw)

        return _made_hdf5(fill)


def _lung() -> bytes:
    """The first cells of a table of genes by cells, with the genes that are counted most."""
    lines = gzip.decompress(_sample("celseq2.csv.gz")).splitlines()
    header, *rows = [line.split(b",", CELLS + 1)[: CELLS + 1] for line in lines]
    totals = [sum(map(int, row[1:])) for row in rows]
    kept = sorted(np.argsort(totals, kind="stable")[-GENES:])
    return _gzip(b"".join(b",".join(row) + b"\n" for row in (header[:CELLS], *(rows[number] for number in kept))))


def _hdf5(contents: bytes) -> h5py.File:
    return h5py.File(io.BytesIO(contents), "r")


def _made_hdf5(fill: Callable[[h5py.File], None]) -> bytes:
    made = io.BytesIO()
    with h5py.File(made, "w") as new:
        fill(new)
    return made.getvalue()


def _dense(group: h5py.Group, rows: int, width: int) -> npt.NDArray[Any]:
    """The first rows of a compressed sparse matrix in HDF5."""
    ends = group["indptr"][: rows + 1]
    row_of = np.repeat(np.arange(rows), np.diff(ends))
    dense = np.zeros((rows, width), group["data"].dtype)
    dense[row_of, group["indices"][: ends[-1]]] = group["data"][: ends[-1]]
    return dense


def _fill_sparse(group: h5py.Group, dense: npt.NDArray[Any]) -> None:
    rows, columns = np.nonzero(dense)
    group["data"], group["indices"] = dense[rows, columns], columns.astype(np.int32)
    group["indptr"] = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(dense)))]).astype(np.int32)


def _gzip(contents: bytes) -> bytes:
    return gzip.compress(contents, mtime=0)


def _zip(members: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, contents in members.items():
            archive.writestr(zipfile.ZipInfo(name), contents)
    return made.getvalue()


def _tar(members: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, contents in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(contents)
            archive.addfile(member, io.BytesIO(contents))
    return _gzip(made.getvalue())
