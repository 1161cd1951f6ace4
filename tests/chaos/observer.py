"""Looks at what is published while it is being published."""

import hashlib
import random
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from shared import keys
from shared.manifest import Manifest
from tests.chaos.verdict import contradictions, named

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PAUSE_SECONDS: Final = 1.0
"""Between looks: each asks for a dozen objects."""


class Store:
    """What is published below ``prefix`` of ``bucket``."""

    def __init__(self, s3: "S3Client", bucket: str, prefix: str) -> None:
        self._s3, self._bucket, self._prefix = s3, bucket, prefix

    def manifest(self, project_id: str) -> Manifest | None:
        """What the project's manifest says; None where there is none."""
        body = self._body(self._prefix + keys.manifest(project_id))
        return None if body is None else Manifest.model_validate_json(body)

    def digests(self, manifest: Manifest) -> dict[str, str]:
        """The sha256 of what is under the keys that ``manifest`` names, as far as anything is."""
        bodies = {key: self._body(key) for key in named(manifest)}
        return {key: hashlib.sha256(body).hexdigest() for key, body in bodies.items() if body is not None}

    def keys(self) -> set[str]:
        """All there is."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
        return {entry["Key"] for page in pages for entry in page.get("Contents", [])}

    def _body(self, key: str) -> bytes | None:
        try:
            return self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except self._s3.exceptions.NoSuchKey:
            return None


class Observer:
    """Compares manifests with what they name, one project after another, until told that it is over."""

    def __init__(self, store: Store, projects: Mapping[str, object], seed: int) -> None:
        self.judged = 0
        self.seen: list[str] = []
        self._store, self._projects = store, projects
        self._lot = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self._over = threading.Event()

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look until the block ends."""
        thread = threading.Thread(target=self._look_on)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _look_on(self) -> None:
        while not self._over.wait(PAUSE_SECONDS):
            if projects := list(self._projects):
                self._look(self._lot.choice(projects))

    def _look(self, project_id: str) -> None:
        """A manifest that is the same before and after must be right in between."""
        before = self._store.manifest(project_id)
        if before is None:
            return
        digests = self._store.digests(before)
        if self._store.manifest(project_id) == before:
            self.judged += 1
            self.seen += contradictions(before, digests)
