"""Manifests as workers publish them, and one that holds markup wherever there is text."""

from datetime import UTC, datetime
from typing import Final

from shared.manifest import Alert, Entity, Figure, Input, Library, Manifest, Pipeline, Skipped, Table

MADE: Final = datetime(2026, 11, 22, 3, 4, tzinfo=UTC)
PREFIX: Final = "project-assets/project-stats/"
SCRIPT: Final = "<script>alert(1)</script>"
ATTRIBUTE: Final = '"><img src=x onerror=alert(1)>'
HOSTILE: Final = f"{SCRIPT}{ATTRIBUTE}'{{{{7*7}}}}</style></title>&lt;"
FIGURES: Final = ("violin", "umap", "barcode_rank")


def figure(folder: str, name: str, alt: str, extension: str = "png") -> Figure:
    """A picture in ``folder``, below the root."""
    key = f"{folder}/{name}.{extension}"
    return Figure(name=name, key=key, sha256="0" * 64, bytes=66_648, width=1_200, height=840, alt=alt)


def manifest(project_id: str = "p", species: str | None = "homo_sapiens", prefix: str = PREFIX) -> Manifest:
    """Of one species and library, with everything that a page shows."""
    entity = f"{project_id}.{species}" if species else project_id
    folder = f"{prefix}{entity}/10X"
    library = Library(
        library="10X",
        statistics={"cells": 2_700, "median_percent_mito": 2.0296, "sketch_cells": None, "doublet_rate": 0.5},
        alerts=(
            Alert(level="info", title="Small sample", value="2,700 cells", message="Usually 5,000 or more."),
            Alert(level="error", title="High mitochondrial share", value="41 %", message="Usually below 20 %."),
            Alert(level="warning", title="Few genes", value="210", message="Usually 500 or more."),
        ),
        figures=(
            *(figure(folder, name, f"What {name} shows of 2,700 cells.") for name in FIGURES),
            figure(folder, "umap", "What umap shows of 2,700 cells.", "svg"),
        ),
        tables=(Table(name="markers.tsv", key=f"{folder}/markers.tsv", sha256="0" * 64, bytes=15_000, rows=1_800),),
        skipped=(Skipped(name="pca", reason="no gene varies"),),
    )
    read = Input(
        uri="s3://bucket/p.mtx.zip",
        version="v1",
        size_bytes=8_711_877,
        sha256="abc123",
        species=species,
        format="zip of MatrixMarket",
        reading=("Raw counts: all values are whole numbers.",),
    )
    return Manifest(
        project_id=project_id,
        generated_at=MADE,
        requested_at=MADE,
        run_id="01JRUN",
        source="canned",
        choice=("The newest of three.",),
        environment={"python": "3.13.0", "cpu": "A processor", "threads": 2},
        inputs=(read,),
        fingerprint="f" * 64,
        entities=(Entity(entity=entity, species=species, libraries=(library,)),),
        timing={"look up": 0.01, "fetch": 1.25},
        peak_rss_mib=461.5,
    )


def hostile() -> Manifest:
    """Markup in every text; what it names lies where it says, should anybody look."""
    table = Table(name=HOSTILE, key=f"{PREFIX}{HOSTILE}/t.tsv", sha256=HOSTILE, bytes=1, rows=1)
    library = Library(
        library=HOSTILE,
        statistics={HOSTILE: 1},
        alerts=(Alert(level="warning", title=HOSTILE, value=HOSTILE, message=HOSTILE),),
        figures=(figure(f"{PREFIX}{HOSTILE}", HOSTILE, f"Gene {HOSTILE} leads."),),
        tables=(table,),
        skipped=(Skipped(name=HOSTILE, reason=HOSTILE),),
    )
    read = Input(
        uri=HOSTILE,
        version=HOSTILE,
        size_bytes=1,
        sha256=HOSTILE,
        species=HOSTILE,
        library_construction=(HOSTILE,),
        format=HOSTILE,
        reading=(HOSTILE,),
    )
    return Manifest(
        project_id=HOSTILE,
        generated_at=MADE,
        run_id=HOSTILE,
        source=HOSTILE,
        choice=(HOSTILE,),
        pipeline=Pipeline(name=HOSTILE, version=HOSTILE, parameters={HOSTILE: HOSTILE}),
        environment={HOSTILE: HOSTILE},
        inputs=(read,),
        fingerprint=HOSTILE,
        entities=(Entity(entity=HOSTILE, species=HOSTILE, libraries=(library,)),),
        timing={HOSTILE: 1.0},
    )
