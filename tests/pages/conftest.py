"""Pages in a bucket that a browser may read."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from urllib.parse import quote

import boto3
import pytest
from playwright.sync_api import Browser

from infra.local import emulator as local
from infra.local import pages
from producer.index_page import Row, State, page
from shared import keys
from shared.manifest import Manifest
from tests.browser import Visit, chromium, visiting
from tests.manifests import MADE, PREFIX, manifest
from worker.page import page as project_page

PICTURE = (Path(__file__).parents[2] / ".readme" / "umap.png").read_bytes()
BUCKET = "pages"
STATES: tuple[State, ...] = ("published", "published", "published", "outdated", "failed")

Open = Callable[..., AbstractContextManager[Visit]]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests of a module: playwright's loop may not outlive it."""
    with chromium() as started:
        yield started


class Shelf:
    """Where pages are put for the browser to find."""

    def __init__(self, endpoint: str) -> None:
        session = boto3.Session("emulator", "emulator", region_name=local.REGION)
        self._s3 = session.client("s3", endpoint_url=endpoint)
        self._s3.create_bucket(Bucket=BUCKET)
        pages.let_anyone_read(self._s3, BUCKET)
        self._root = f"{endpoint}/{BUCKET}/"

    def put(self, key: str, body: bytes, kind: str = "text/html; charset=utf-8") -> str:
        """An object; its address."""
        self._s3.put_object(Bucket=BUCKET, Key=key, Body=body, ContentType=kind)
        return self._root + quote(key)

    def project(self, shown: Manifest) -> str:
        """The page of a project, with its pictures; its address."""
        for entity in shown.entities:
            for library in entity.libraries:
                for figure in library.figures:
                    kind = "image/png" if figure.key.endswith(".png") else "image/svg+xml"
                    self.put(figure.key, PICTURE, kind)
        self.put(f"{PREFIX}index.html", page([Row(shown.project_id, "published", page=True)], MADE))
        return self.put(PREFIX + keys.page(shown.project_id), project_page(shown, PREFIX, indexed=True))

    def index(self, *rows: Row) -> str:
        """An index; its address."""
        return self.put(f"{PREFIX}{len(rows)}/index.html", page(rows, MADE))

    def close(self) -> None:
        """Let go of connections."""
        self._s3.close()


@pytest.fixture(scope="module")
def shelf(endpoint: str) -> Iterator[Shelf]:
    """An own bucket on the embedded server."""
    made = Shelf(endpoint)
    yield made
    made.close()


@pytest.fixture
def visit(browser: Browser) -> Open:
    """Open an address; see ``visiting``."""
    return partial(visiting, browser)


def rows(count: int) -> list[Row]:
    """Projects of five states and species in turn, each with one cell more than the one before."""
    return [row(number) for number in range(count)]


def row(number: int) -> Row:
    state = STATES[number % 5]
    failed = state == "failed"
    species = ("homo_sapiens", "mus_musculus", "danio_rerio")[number % 3]
    return Row(
        f"project-{number:05d}",
        state,
        page=not failed,
        date=f"2026-11-{number % 28 + 1:02d}",
        cells=0 if failed else number + 1,
        species=() if failed else (species,),
        libraries=() if failed else ("10X", "SS2")[: 1 + number % 2],
        alerts=number % 4 if state == "published" else 0,
        reason="corrupt_matrix" if state in {"failed", "outdated"} else "",
        error="cut short after 8,390,156 bytes" if state in {"failed", "outdated"} else "",
    )


@pytest.fixture(scope="module")
def project(shelf: Shelf) -> str:
    """The address of a project's page."""
    return shelf.project(manifest())
