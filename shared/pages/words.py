"""Numbers, sizes, times and names as people write them."""

from datetime import UTC, datetime
from typing import Final

THOUSAND: Final = 1_000
TWO_DIGITS: Final = 10
UNITS: Final = ("kB", "MB", "GB", "TB")


def number(value: float) -> str:
    """Thousands marked, at most two decimals, and none from a thousand on."""
    if isinstance(value, int) or abs(value) >= THOUSAND:
        return f"{value:,.0f}"
    return f"{value:.2f}".rstrip("0").rstrip(".")


def size(count: int) -> str:
    """Bytes in the unit that leaves a number below a thousand."""
    if count < THOUSAND:
        return f"{count} B"
    power = min((len(str(count)) - 1) // 3, len(UNITS))
    value = count / THOUSAND**power
    return f"{value:.{0 if value >= TWO_DIGITS else 1}f} {UNITS[power - 1]}"


def moment(time: datetime) -> str:
    """A time to the minute."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def species(name: str | None) -> str:
    """``homo_sapiens`` as it is printed."""
    return name.replace("_", " ").capitalize() if name else "Unknown species"


def title(name: str) -> str:
    """A heading from a name like ``barcode_rank``."""
    spaced = " ".join(name.replace("_", " ").split())
    return spaced[:1].upper() + spaced[1:]
