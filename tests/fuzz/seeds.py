"""Where the search starts: small real files, as they are and taken apart."""

import gzip
from pathlib import Path

from tests.fuzz.hdf5_edits import bases
from tests.matrices.building import CELLS, FEATURES, MARKET, MATRICES, members_of, tarred, zipped
from tests.tiny import tiny_projects

CORPUS = Path(__file__).parent / "corpus"
"""What was found once: replayed by every run of the tests."""


def write_seeds(target: str, folder: Path) -> None:
    """The starting inputs of ``target``, a file each."""
    folder.mkdir(parents=True)
    for place, content in enumerate(_seeds(target, folder.parent)):
        folder.joinpath(f"seed-{place}").write_bytes(content)


def _seeds(target: str, room: Path) -> list[bytes]:
    folder = members_of(MATRICES / "cellranger2")
    tiny = {name: project.contents for name, project in tiny_projects().items()}
    turned = b"cell\tTP53\tGAPDH\nc1\t1\t0\nc2\t0\t2.5\n"
    cells = b"cellkey,genes_detected,species\nc1,4,Homo sapiens\n"
    genes = b"featurekey\tfeaturename\nENSG1\tA\n"
    archives = [tarred(room / f"seed.{end}", folder).read_bytes() for end in ("tar", "tar.gz")]
    edits = ([0], [0, 4, 1, 3], [1, 9, 9, 9, 9])
    return {
        "number": [b"1", b"-12.50", b"1e5", b".5E-3", b"123456789012345678901234567890", b"0.000", b"+7."],
        "market": [MARKET, folder["cellranger2/matrix.mtx"], gzip.compress(MARKET), MARKET.replace(b"\n", b" \t\r\n")],
        "table": [_corner(tiny["lung"]), turned, b'"","a"\n"g,1",3\n', gzip.compress(turned)],
        "features": [FEATURES, genes, gzip.compress(FEATURES)],
        "cells": [CELLS, cells, gzip.compress(cells)],
        "gzip": [gzip.compress(MARKET), gzip.compress(MARKET) + gzip.compress(CELLS), gzip.compress(b"")],
        "zip": [zipped(room / "seed.zip", folder).read_bytes(), tiny["blood"]],
        "tar": archives,
        "hdf5": [bytes([base, *edit]) for base in range(len(bases())) for edit in edits],
        "file": [*tiny.values(), *archives, MARKET, turned],
    }[target]


def _corner(packed: bytes) -> bytes:
    """The first lines of a text matrix."""
    return gzip.decompress(packed)[:2_000].rpartition(b"\n")[0]
