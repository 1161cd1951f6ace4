"""What portals say about waiting, and about versions."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from shared.portal import LONGEST_WAIT_SECONDS, SHORTEST_WAIT_SECONDS, file_version, promised_sha256, retry_after

SHA256 = "ab" * 32


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("10", 10),
        (" 30 ", 30),
        ("0", SHORTEST_WAIT_SECONDS),
        ("86400", LONGEST_WAIT_SECONDS),
        ("Wed, 21 Oct 2015 07:28:00 GMT", SHORTEST_WAIT_SECONDS),
        ("soon", None),
        ("-5", None),
        ("", None),
        (None, None),
    ],
)
def test_a_pause_is_waited_within_bounds(value: str | None, seconds: float | None) -> None:
    assert retry_after(value) == seconds


def test_a_pause_until_a_date_is_waited() -> None:
    moment = datetime.now(UTC) + timedelta(seconds=60)
    assert retry_after(format_datetime(moment, usegmt=True)) == pytest.approx(60, abs=5)


@pytest.mark.parametrize(
    ("version", "sha256"),
    [
        (SHA256, SHA256),
        (SHA256.upper(), SHA256),
        (file_version("u-1", "2020-12-03T10:39:17.144517Z", SHA256), SHA256),
        (file_version("u-1", "2020-12-03T10:39:17.144517Z", None), None),
        (f"x{SHA256}", None),
        (f"sha256:{SHA256}", None),
        ("0123456789abcdef0123456789abcdef", None),
        ("", None),
        (None, None),
    ],
)
def test_a_version_promises_the_content_it_names(version: str | None, sha256: str | None) -> None:
    assert promised_sha256(version) == sha256
