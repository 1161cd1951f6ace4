"""Where things lie in S3. Portals link to these keys: they do not change."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from shared.errors import one_line
from shared.messages import PROJECT_ID_PATTERN, SPECIES_PATTERN

FigureName = Literal[
    "highest_expr_genes",
    "violin",
    "scatter_genes_vs_counts",
    "scatter_percentMitoGenes_vs_count",
    "highly_variable_genes",
    "pca",
    "umap",
    "rank_gene_groups",
    "barcode_rank",
    "cluster_sizes",
    "cell_types",
    "marker_dot_plot",
]
TableName = Literal["top_genes.tsv", "variable_genes.tsv", "markers.tsv", "marker_dot_plot.tsv", "cells.parquet"]

MATRIX_EXTENSIONS: Final = frozenset(
    stem + packing
    for stem, packings in {
        "mtx": ("", ".gz", ".zip", ".tar", ".tar.gz", ".tgz"),
        "csv": ("", ".gz", ".zip"),
        "tsv": ("", ".gz", ".zip"),
        "txt": (".gz",),
        "h5ad": ("",),
        "h5": ("",),
        "loom": ("",),
        "zip": ("",),
        "tar": ("", ".gz"),
        "tgz": ("",),
    }.items()
    for packing in packings
)
"""Endings a canned matrix may have; what the file is, its content decides."""
MAX_SHOWN_CHARACTERS: Final = 200
"""Of an address in an error or a log line: messages are written by others."""
INDEX: Final = "index.html"
"""The key, below the figure prefix, of the page of all projects."""
_BUCKET_NAME: Final = re.compile(r"(?!\d+(\.\d+){3}$)(?=.{3,63}$)[a-z0-9](-*[a-z0-9])*(\.[a-z0-9](-*[a-z0-9])*)*")
_NO_BUCKETS: Final = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
"""Endings of access points and other stores than buckets (S3 user guide, "General purpose bucket naming rules")."""


@dataclass(frozen=True, slots=True)
class CannedKey:
    """What the name of a canned matrix says."""

    project_id: str
    species: str | None
    extension: str


def parse_canned(name: str) -> CannedKey:
    """``{project_id}[.{species}].{extension}``, a key below the prefix, taken apart; ValueError says what is wrong."""
    project_id, dot, rest = name.partition(".")
    if not re.match(PROJECT_ID_PATTERN, project_id) or "\n" in name:
        raise ValueError("the name does not start with a project id (1 to 128 of A-Z a-z 0-9 _ -)")
    if not dot:
        raise ValueError("the name has no extension")
    if rest.lower() in MATRIX_EXTENSIONS:
        return CannedKey(project_id, None, rest.lower())
    species, _, extension = rest.partition(".")
    if extension.lower() not in MATRIX_EXTENSIONS:
        raise ValueError(f"“.{rest}” is no extension of a matrix format")
    if not re.match(SPECIES_PATTERN, species):
        raise ValueError(f"“{species}” is no species name like homo_sapiens")
    return CannedKey(project_id, species, extension.lower())


def matrix_extension(name: str) -> str | None:
    """The ending that a matrix format has, in lower case, the longest there is; None where the name has none."""
    parts = name.lower().split(".")
    endings = (".".join(parts[start:]) for start in range(1, len(parts)))
    return next((ending for ending in endings if ending in MATRIX_EXTENSIONS), None)


def entity(project_id: str, species: str | None) -> str:
    """The name figures are filed under: the project, or the project and its species."""
    return f"{project_id}.{species}" if species else project_id


def library_folder(entity_name: str, library: str) -> str:
    """What the keys of a library's figures and tables have in common, below the figure prefix."""
    return f"{entity_name}/{library}"


def figure(entity_name: str, library: str, name: FigureName, extension: str = "png") -> str:
    """A figure's key below the figure prefix."""
    return f"{library_folder(entity_name, library)}/{name}.{extension}"


def table(entity_name: str, library: str, name: TableName) -> str:
    """A table's key below the figure prefix."""
    return f"{library_folder(entity_name, library)}/{name}"


def manifest(project_id: str) -> str:
    """The manifest's key below the figure prefix."""
    return f"{project_id}/manifest.json"


def failure(project_id: str) -> str:
    """The key, below the figure prefix, of the record of a permanent failure."""
    return f"{project_id}/failure.json"


def page(project_id: str) -> str:
    """The key, below the figure prefix, of the project's page."""
    return f"{project_id}/{INDEX}"


def claim(project_id: str) -> str:
    """The key, below the figure prefix, that says who is publishing at this moment; gone once it has."""
    return f"{project_id}/publishing.json"


def shown(uri: str) -> str:
    """An address as it stands in an error or a log line: printable, and of bounded length."""
    return one_line(uri, MAX_SHOWN_CHARACTERS)


def split_s3_uri(uri: str) -> tuple[str, str]:
    """``s3://bucket/key`` as (bucket, key); ValueError where a part is missing or no name of a bucket."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket or not key:
        raise ValueError(f"{shown(uri)} is not s3://BUCKET/KEY")
    if not _BUCKET_NAME.fullmatch(bucket) or bucket.endswith(_NO_BUCKETS):
        raise ValueError(f"{shown(uri)} is not s3://BUCKET/KEY: no bucket has such a name")
    return bucket, key
