"""Any file in, its matrices out: what it is, its content decides and not its name."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from shared.companions import is_table_name
from shared.errors import CorruptMatrixError, EmptyMatrixError, UnsupportedFormatError
from worker.matrices import archives, beside, h5ad, hdf5, loom, market, tenx_h5, text, text_layout
from worker.matrices.archives import Member
from worker.matrices.matrix import Matrix, OpenedFile
from worker.matrices.streams import Source, file_source, head, is_gzipped

READ: Final = (
    "read are: archives (zip, tar, tar.gz) of MatrixMarket folders with their tables (HCA matrix service, Cell Ranger),"
    " .mtx with its tables beside it, .h5 of Cell Ranger, .h5ad, .loom, and csv or tsv matrices, gzipped or not"
)
_FOREIGN: Final = (
    (b"%PDF", "a PDF document"),
    (b"BZh", "bzip2, which is not read"),
    (b"\xfd7zXZ\x00", "xz, which is not read"),
    (b"\x28\xb5\x2f\xfd", "zstd, which is not read"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip, which is not read"),
    (b"Rar!", "RAR, which is not read"),
    (b"PAR1", "Parquet, which is not read"),
    (b"ARROW1", "Arrow, which is not read"),
    (b"RDX", "R data, which is not read"),
    (b"X\n\x00", "R data (RDS), which is not read"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook, which is not read"),
    (b"\x89PNG", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"BAM\x01", "an alignment (BAM)"),
    (b"@HD\t", "an alignment (SAM)"),
)
"""How other files begin, inflated."""
_SHOWN_BYTES: Final = 60
_LISTED: Final = 10
FEW_FEATURES: Final = 0.1
"""Share of another matrix's features."""
NO_TABLES: Final = beside.Tables()

_Opened = tuple[PurePosixPath, OpenedFile]
"""A member of an archive and what is in it."""


class UnknownLayoutError(UnsupportedFormatError):
    """An HDF5 file that is none of the kinds that are read."""


class NoMatrixError(UnsupportedFormatError):
    """Text that is surely no matrix: where others of a project are, it is passed over."""


def member_of(path: Path, place: str) -> Member:
    """A file on this machine as one of several that lie somewhere together: at ``place``, an address or path."""
    source = file_source(path)
    return Member(PurePosixPath(place), source, head(source))


def is_bare(member: Member) -> bool:
    """Whether it is a matrix whose genes and cells are listed in other files."""
    return market.is_market(member.start)


def open_matrix(path: Path, scratch: Path, tables: beside.Tables = NO_TABLES) -> OpenedFile:
    """The matrices in ``path``; ``scratch`` is an empty folder that must outlast them.

    ``tables`` lie beside it, for a bare MatrixMarket file.
    UnsupportedFormatError, CorruptMatrixError, EmptyMatrixError and NoRawCountsError say what is wrong and where.
    """
    if not path.stat().st_size:
        raise EmptyMatrixError(f"{path.name}: the file has 0 bytes; send it again")
    source = file_source(path)
    start = head(source)
    packed = is_gzipped(source)
    if archives.is_tar(start):
        return _archive(path.name, "tar.gz" if packed else "tar", archives.tar_members(path, scratch), scratch)
    if packed and (archives.is_zip(start) or start.startswith(hdf5.SIGNATURE)):
        path = archives.unpack(source, scratch)
    if archives.is_zip(start):
        return _archive(source.name, "zip", archives.zip_members(path), scratch)
    if start.startswith(hdf5.SIGNATURE):
        return _hdf5(path, source.name, scratch)
    if market.is_market(start):
        return OpenedFile("MatrixMarket", (_market(source.name, source, tables, "", scratch),))
    return _text(source, start, scratch)


def _text(source: Source, start: bytes, scratch: Path) -> OpenedFile:
    if _is_table(start):
        return OpenedFile("text table", (text.open_text(source, scratch),))
    error = NoMatrixError if _is_text(start) else UnsupportedFormatError
    raise error(f"{source.name}: {_described(start)}; {READ}")


def _market(place: str, matrix: Source, tables: beside.Tables, folder: str, scratch: Path) -> Matrix:
    """A MatrixMarket file with its tables; errors say where they miss, or that none is there."""
    features, cells = tables.features, tables.cells
    if not features and not cells:
        raise UnsupportedFormatError(
            f"{place}: a MatrixMarket file without its tables of genes and cells; send one zip or tar.gz with"
            " matrix.mtx, features.tsv (or genes.tsv) and barcodes.tsv (or cells.tsv) in one folder"
        )
    if not features or not cells:
        missing = "genes (features.tsv or genes.tsv)" if cells else "cells (barcodes.tsv or cells.tsv)"
        raise CorruptMatrixError(f"{place}: the table of {missing} is missing beside {matrix.name}; send it too")
    return market.open_market(matrix, features, cells, folder, scratch, cells_in_rows=tables.cells_in_rows)


def _hdf5(path: Path, name: str, scratch: Path, inside: str = "") -> OpenedFile:
    with hdf5.opened(path, name) as file:
        if h5ad.is_h5ad(file):
            return OpenedFile("h5ad", (h5ad.open_h5ad(file, path, name, scratch, inside),))
        if loom.is_loom(file):
            return OpenedFile("loom", (loom.open_loom(file, path, name, scratch, inside),))
        if tenx_h5.is_tenx(file):
            return OpenedFile("Cell Ranger HDF5", tenx_h5.open_tenx(file, path, name, inside))
        raise UnknownLayoutError(f"HDF5 with {', '.join(list(file)[:_LISTED]) or 'nothing'} in it; {READ}")


def _archive(name: str, packing: str, members: Sequence[Member], scratch: Path) -> OpenedFile:
    """The matrices of an archive, all of one kind: MatrixMarket, else HDF5, else text.

    Other kinds beside it hold the same cells once more, or no counts: they are named as not read.
    """
    for is_kind, open_kind in _KINDS:
        if found := [member for member in members if is_kind(member)]:
            opened = dict(open_kind(name, _filtered(found), members, scratch))
            of_same_cells = _few_features_of_same_cells(opened)
            read = {path: file for path, file in opened.items() if path not in of_same_cells}
            formats = sorted({file.format for file in read.values()})
            matrices = tuple(matrix for file in read.values() for matrix in file.matrices)
            reading = (*_left_out(found, of_same_cells), *_not_read(members, found, opened))
            return OpenedFile(f"{packing} of {', '.join(formats)}", matrices, reading)
    listed = _listed([member.path for member in members]) or "no files"
    raise UnsupportedFormatError(f"{name}: no matrix among its members ({listed}); {READ}")


def _is_hdf5(member: Member) -> bool:
    return member.start.startswith(hdf5.SIGNATURE)


def _is_text_matrix(member: Member) -> bool:
    return not is_table_name(member.path) and _is_table(member.start)


def _is_text_matrix_by_content(member: Member) -> bool:
    """Whatever it is called: ``GSM1_T_cells.csv`` may list cells, or hold their counts."""
    return _is_table(member.start) and not text_layout.names_no_genes(member.start)


def _folders(name: str, read: Sequence[Member], members: Sequence[Member], scratch: Path) -> Iterator[_Opened]:
    for member in read:
        alone = all(other is member or other.path.parent != member.path.parent for other in read)
        tables = beside.tables_of(member, members, alone=alone)
        called = str(member.path.parent if alone else member.path)
        matrix = _market(f"{name}, {member.path}", member.source, tables, called, scratch)
        yield member.path, OpenedFile("MatrixMarket", (matrix,))


def _text_tables(_: str, read: Sequence[Member], members: Sequence[Member], scratch: Path) -> Iterator[_Opened]:
    """Those that name genes, or all if none does."""
    for member in [member for member in read if not text_layout.names_no_genes(member.start)] or read:
        tables = beside.tables_of(member, members, alone=True)
        found = text.Beside(tables.features, tables.cells)
        matrix = text.open_text(member.source, scratch, str(member.path), found)
        yield member.path, OpenedFile("text tables", (matrix,))


def _hdf5_files(_: str, read: Sequence[Member], __: Sequence[Member], scratch: Path) -> Iterator[_Opened]:
    """Those that hold matrices; UnknownLayoutError where none does."""
    unknown = []
    for member in read:
        path = archives.unpack(member.source, scratch)
        try:
            yield member.path, _hdf5(path, member.source.name, scratch, str(member.path))
        except UnknownLayoutError as error:
            unknown.append(error)
    if len(unknown) == len(read):
        raise unknown[0]


_KINDS: Final = (
    (is_bare, _folders),
    (_is_hdf5, _hdf5_files),
    (_is_text_matrix, _text_tables),
    (_is_text_matrix_by_content, _text_tables),
)
"""How matrices of each kind are told and opened, the kind that is read first."""


def _few_features_of_same_cells(opened: Mapping[PurePosixPath, OpenedFile]) -> list[PurePosixPath]:
    """Members that hold far fewer features than another, of cells that it holds too: antibodies, tags, annotations."""
    return [path for path, file in opened.items() if any(_is_part_of(file, other) for other in opened.values())]


def _is_part_of(file: OpenedFile, other: OpenedFile) -> bool:
    most = max((len(matrix.genes) for matrix in file.matrices), default=0)
    larger = [matrix for matrix in other.matrices if most < FEW_FEATURES * len(matrix.genes)]
    if not larger:
        return False
    own, known = (set().union(*map(_barcodes, matrices)) for matrices in (file.matrices, larger))
    return len(own & known) > len(own) / 2


def _barcodes(matrix: Matrix) -> Iterator[str]:
    """The ids of its cells; programs that count tags leave out the number of the library that Cell Ranger adds."""
    return (str(cell).removesuffix("-1") for cell in matrix.cells.ids)


def _left_out(found: Sequence[Member], of_same_cells: Sequence[PurePosixPath]) -> Iterator[str]:
    if of_same_cells:
        yield f"Left out, as another holds many more features of the same cells: {_listed(of_same_cells)}."
    if unfiltered := _unfiltered(found):
        yield f"Left out, as filtered matrices lie beside them: {_listed(unfiltered)}."


def _not_read(
    members: Sequence[Member], found: Sequence[Member], opened: Mapping[PurePosixPath, OpenedFile]
) -> Iterator[str]:
    """A sentence on whatever else there is but tables of matrices."""
    with_tables = set[PurePosixPath]() if _is_hdf5(found[0]) else {member.path.parent for member in found}
    known = {*opened, *_unfiltered(found)}
    others = [
        path
        for path in (member.path for member in members)
        if path not in known and not (path.parent in with_tables and is_table_name(path))
    ]
    if others:
        yield f"Not read of the archive: {_listed(others)}."


def _listed(paths: Sequence[PurePosixPath]) -> str:
    more = f" and {len(paths) - _LISTED:,} more" if len(paths) > _LISTED else ""
    return ", ".join(map(str, paths[:_LISTED])) + more


def _filtered(members: Sequence[Member]) -> list[Member]:
    """Without the matrices of all barcodes where those of cells only lie beside them, as Cell Ranger's runs do."""
    paths = {str(member.path) for member in members}
    return [
        member
        for member in members
        if (path := str(member.path)).replace("raw_", "filtered_") == path
        or path.replace("raw_", "filtered_") not in paths
    ]


def _unfiltered(members: Sequence[Member]) -> list[PurePosixPath]:
    filtered = _filtered(members)
    return [member.path for member in members if member not in filtered]


def _is_table(start: bytes) -> bool:
    return _is_text(start) and text_layout.is_table(start)


def _is_text(start: bytes) -> bool:
    return b"\x00" not in start and start.lstrip()[:1] not in (b"<", b"{", b"[") and not _foreign(start)


def _foreign(start: bytes) -> str:
    return next((what for magic, what in _FOREIGN if start.startswith(magic)), "")


def _described(start: bytes) -> str:
    """What a file seems to be, from how it begins."""
    begins = start.lstrip()[:_SHOWN_BYTES]
    shown = " ".join(begins.decode("utf-8", "replace").split())
    if _foreign(start):
        return _foreign(start)
    if begins.lower().startswith((b"<!doctype html", b"<html")):
        return f"a web page, perhaps an error answer (“{shown}”)"
    if begins.startswith(b"<"):
        return f"XML, perhaps an error answer (“{shown}”)"
    if begins[:1] in (b"{", b"["):
        return f"JSON (“{shown}”)"
    if b"\x00" in start:
        return f"binary data of an unknown kind (it begins {start[:8].hex(' ')})"
    return f"text that is no table of numbers (“{shown}”)"
