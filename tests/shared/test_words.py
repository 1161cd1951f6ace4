"""Numbers, sizes and names as people write them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from shared.pages.words import moment, number, size, species, title


@pytest.mark.parametrize(
    ("value", "written"),
    [(0, "0"), (2_700, "2,700"), (1.5, "1.5"), (2.0296, "2.03"), (2_197.0, "2,197"), (98_721.72, "98,722"), (0.0, "0")],
)
def test_numbers(value: float, written: str) -> None:
    assert number(value) == written


@pytest.mark.parametrize(
    ("count", "written"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (66_648, "67 kB"),
        (8_711_877, "8.7 MB"),
        (10**9, "1.0 GB"),
        (3 * 10**12, "3.0 TB"),
        (10**16, "10000 TB"),
    ],
)
def test_sizes(count: int, written: str) -> None:
    assert size(count) == written


def test_names() -> None:
    assert (species("mus_musculus"), species(None)) == ("Mus musculus", "Unknown species")
    assert (title("barcode_rank"), title("__"), title("PCA loadings")) == ("Barcode rank", "", "PCA loadings")


def test_times_are_utc() -> None:
    east = timezone(timedelta(hours=2))
    assert moment(datetime(2026, 11, 22, 1, 4, tzinfo=east)) == "2026-11-21 23:04 UTC"
    assert moment(datetime(2026, 11, 22, tzinfo=UTC)) == "2026-11-22 00:00 UTC"
