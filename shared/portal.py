"""How a portal is asked: who we say we are, how long we wait when told to, and what a file's version looks like."""

import re
import time
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

from shared import __version__, pipeline

USER_AGENT: Final = f"{pipeline.NAME}/{__version__} (+https://github.com/HumanCellAtlas/{pipeline.NAME})"
SHORTEST_WAIT_SECONDS: Final = 1.0
LONGEST_WAIT_SECONDS: Final = 120.0
"""A server that names a longer wait is asked again after this one; Azul names 10 or 30 s."""

GONE: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
FORBIDDEN: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
BUSY: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
"""What a portal answers, beside errors of its own (500 and above)."""

_FILE_VERSION: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}( |$)", re.IGNORECASE)
_SHA256: Final = re.compile(r"(?:^|.* sha256:)([0-9a-fA-F]{64})")


def retry_after(value: str | None) -> float | None:
    """The pause that a Retry-After header asks for, in seconds, within our bounds; None where it asks for none.

    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    text = (value or "").strip()
    try:
        seconds = float(text) if text.isdecimal() else parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, SHORTEST_WAIT_SECONDS), LONGEST_WAIT_SECONDS)


def file_version(uuid: str, version: str, sha256: str | None) -> str:
    """What changes when a portal's file does, as a message carries it; its content can be checked against it."""
    return " ".join(filter(None, (uuid, version, sha256 and f"sha256:{sha256.lower()}")))


def is_file_version(version: str | None) -> bool:
    """Whether it begins with a uuid, as ``file_version`` makes it, and an ETag does not."""
    return _FILE_VERSION.match(version or "") is not None


def promised_sha256(version: str | None) -> str | None:
    """The sha256, in lower case, that a version promises: it is one, or ends with one. None where it says nothing."""
    found = _SHA256.fullmatch(version or "")
    return found[1].lower() if found else None
