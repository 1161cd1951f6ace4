"""The name of one run: a ULID, so that runs sort by time (https://github.com/ulid/spec)."""

import secrets
import time
from typing import Final

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32."""
RANDOM_BITS: Final = 80
CHARACTERS: Final = 26
"""48 bits of milliseconds and 80 random bits, five a character."""


def new(milliseconds: int | None = None) -> str:
    """A fresh id for a run that starts now, or at ``milliseconds`` since the epoch."""
    instant = time.time_ns() // 1_000_000 if milliseconds is None else milliseconds
    value = instant << RANDOM_BITS | secrets.randbits(RANDOM_BITS)
    return "".join(ALPHABET[value >> 5 * place & 31] for place in reversed(range(CHARACTERS)))
