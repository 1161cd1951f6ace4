"""One matrix file to figures, tables, page and manifest in a folder, for a person at a keyboard."""

import os
import re
import tempfile
from pathlib import Path

from shared import keys
from shared.errors import AccessDeniedError, MatrixNotFoundError, SettingsError
from shared.manifest import Input, Manifest
from shared.messages import PROJECT_ID_PATTERN
from worker.beside import found_in_folder
from worker.build import Progress, Request, build
from worker.fetch import Fetched, hash_file
from worker.matrices import scratch
from worker.page import write_page
from worker.stages import Stages


def render(matrix: Path, project_id: str, out: Path, figure_formats: tuple[str, ...], progress: Progress) -> Manifest:
    """The figures of one file below ``out``; nothing is seen there before all of it is made."""
    if not matrix.is_file():
        raise MatrixNotFoundError(f"{matrix}: no such file")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"--out {out}: {error.strerror}") from None
    if not os.access(out, os.W_OK):
        raise SettingsError(f"--out {out}: no folder that can be written to")
    if not os.access(matrix, os.R_OK):
        raise AccessDeniedError(f"{matrix}: not to be read by this user")
    with tempfile.TemporaryDirectory(dir=out, prefix=".partial-") as name, scratch.writing(out):
        folder = Path(name)
        stages = Stages(progress, stage="start")
        stages.enter("fetch")
        digest = hash_file(matrix)
        known = Input(uri=matrix.name, version=digest, size_bytes=matrix.stat().st_size, sha256=digest)
        made = build(
            Request(project_id, "", figure_formats),
            [Fetched(matrix, known, found_in_folder(matrix))],
            folder,
            stages.enter,
        )
        stages.enter("write")
        manifest = made.model_copy(update={"timing": dict(stages.seconds)})
        _move_into(out, folder)
        write_page(manifest, "", out, indexed=False)
        (out / keys.manifest(project_id)).write_bytes(manifest.body())
    return manifest


def project_id_of(matrix: Path) -> str:
    """A project id from a file's name, for who gives none."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", matrix.name.partition(".")[0]).strip("-_")[:128]
    return stem if re.fullmatch(PROJECT_ID_PATTERN, stem) else "matrix"


def _move_into(out: Path, folder: Path) -> None:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        target = out / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
