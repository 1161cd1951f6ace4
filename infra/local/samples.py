"""The demo's projects, of small real matrices (sources and licences: ``samples/README.md``), and what to expect."""

from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FOLDER: Traversable = resources.files("infra.local").joinpath("samples")

LICENCES: dict[str, tuple[str, ...]] = {
    "pbmc3k.homo_sapiens.mtx.zip": ("10x-Genomics-CC-BY-4.0.txt",),
    "mouse_pancreas.mus_musculus.h5ad": ("scvelo-BSD-3-Clause.txt",),
    "oligodendroglioma.homo_sapiens.h5ad": ("infercnvpy-BSD-3-Clause.txt",),
    "celseq2.csv.gz": ("sc_mixology-MIT.txt",),
    "chr21.homo_sapiens.h5": ("scanpy-BSD-3-Clause.txt",),
    "citeseq.homo_sapiens.tar.gz": ("10x-Genomics-CC-BY-4.0.txt", "scvi-tools-BSD-3-Clause.txt"),
    "no_raw_counts.h5ad": ("10x-Genomics-CC-BY-4.0.txt", "anndata-BSD-3-Clause.txt"),
}
"""Each file and its texts in ``samples/LICENSES``."""


@dataclass(frozen=True, slots=True)
class Project:
    """A project of the demo; ``failure`` is the reason code it is expected to end with, None where it is published."""

    id: str
    title: str
    files: tuple[str, ...]
    failure: str | None = None
    cut_short: bool = False
    blacklisted: bool = False

    def matrices(self) -> dict[str, bytes]:
        """Name below the matrix prefix → contents; what follows the first dot of the file follows the project's id."""
        return {f"{self.id}.{file.partition('.')[2]}": self._contents(file) for file in self.files}

    def _contents(self, file: str) -> bytes:
        whole = FOLDER.joinpath(file).read_bytes()
        return whole[: len(whole) // 2] if self.cut_short else whole


PROJECTS = (
    Project("3f0b6d7e-5a0c-4a39-9d0e-8d3c1a7be101", "Human blood cells, 10x", ("pbmc3k.homo_sapiens.mtx.zip",)),
    Project("5c1de2a4-7f43-4c0b-8a55-2b9f60c4d102", "Mouse pancreas, h5ad", ("mouse_pancreas.mus_musculus.h5ad",)),
    Project(
        "8e27c9f1-0b6a-4d7e-b2c3-64a1f58e9103", "Brain tumour, Smart-seq2", ("oligodendroglioma.homo_sapiens.h5ad",)
    ),
    Project("a94f3b60-1c85-4e2d-9f17-d05b7ac2e104", "Lung cancer lines, CEL-seq2", ("celseq2.csv.gz",)),
    Project("b6d8017c-92e4-4fa3-8b6d-13c7e9f0a105", "Chromosome 21, Cell Ranger", ("chr21.homo_sapiens.h5",)),
    Project(
        "c7a5e4d2-38f9-4b16-a0de-79f2b8d1c106",
        "Two species, antibodies",
        ("citeseq.homo_sapiens.tar.gz", "mouse_pancreas.mus_musculus.h5ad"),
    ),
    Project(
        "d1e9f853-46b7-4c28-93fa-0e8d5b6c7107", "Scaled values only", ("no_raw_counts.h5ad",), failure="no_raw_counts"
    ),
    Project(
        "e2b0c964-57d8-4a31-84eb-1f9c6a7d8108",
        "A file cut short",
        ("celseq2.csv.gz",),
        failure="corrupt_matrix",
        cut_short=True,
    ),
    Project("f3c1da75-68e9-4b42-95fc-20ad7b8e9109", "On the blacklist", ("chr21.homo_sapiens.h5",), blacklisted=True),
)


def put(s3: "S3Client", bucket: str, prefix: str, blacklist_key: str) -> None:
    """The projects' matrices and the blacklist into ``bucket``; equal bytes have equal ETags, so nothing looks new."""
    for project in PROJECTS:
        for name, contents in project.matrices().items():
            s3.put_object(Bucket=bucket, Key=prefix + name, Body=contents)
    blacklist = "".join(f"{project.id}\n" for project in PROJECTS if project.blacklisted)
    s3.put_object(Bucket=bucket, Key=blacklist_key, Body=blacklist.encode())
