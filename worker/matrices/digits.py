"""Numbers read from text, compiled: what MatrixMarket and text tables share."""

import numpy as np
import numpy.typing as npt
from numba import njit

Bytes = npt.NDArray[np.uint8]

_MINUS, _PLUS, _POINT = ord("-"), ord("+"), ord(".")
_ZERO, _NINE = ord("0"), ord("9")
_UPPER_E, _LOWER_E = ord("E"), ord("e")
MANTISSA_DIGITS = 18
"""What an int64 holds; further digits are beyond a float32 by far."""
_MAX_EXPONENT = 400
"""Past the range of a double: more digits of an exponent change nothing."""
_POWERS: npt.NDArray[np.float64] = 10.0 ** np.arange(23, dtype=np.float64)
"""The powers of ten that a double holds exactly."""


@njit(cache=True, nogil=True)
def _exponent(text: Bytes, at: int, end: int) -> tuple[int, int]:
    """The exponent after an ``e`` at ``at`` and the place after it; (0, at) where there is none."""
    place = at + 1
    sign = 1
    if place < end and (text[place] == _MINUS or text[place] == _PLUS):
        if text[place] == _MINUS:
            sign = -1
        place += 1
    start = place
    exponent = 0
    while place < end and _ZERO <= text[place] <= _NINE:
        if exponent < _MAX_EXPONENT:
            exponent = exponent * 10 + (text[place] - _ZERO)
        place += 1
    if place == start:
        return 0, at
    return sign * exponent, place


@njit(cache=True, nogil=True)
def _scaled(mantissa: int, exponent: int) -> float:
    """``mantissa`` times 10^``exponent``: exact to a double's last places, hence to a float32."""
    value = float(mantissa)
    if 0 <= exponent < len(_POWERS):
        return float(value * _POWERS[exponent])
    if -len(_POWERS) < exponent < 0:
        return float(value / _POWERS[-exponent])
    return float(value * 10.0 ** float(exponent))


@njit(cache=True, nogil=True)
def read_number(text: Bytes, at: int, end: int) -> tuple[float, int]:
    """The decimal number at ``at`` and the place after it; (0, at) where there is none."""
    place = at
    negative = False
    if place < end and (text[place] == _MINUS or text[place] == _PLUS):
        negative = text[place] == _MINUS
        place += 1
    mantissa = 0
    digits = 0
    exponent = 0
    seen = 0
    point = False
    while place < end:
        character = text[place]
        if _ZERO <= character <= _NINE:
            seen += 1
            if digits < MANTISSA_DIGITS:
                mantissa = mantissa * 10 + (character - _ZERO)
                digits += mantissa > 0
                exponent -= point
            else:
                exponent += not point
        elif character == _POINT and not point:
            point = True
        else:
            break
        place += 1
    if seen == 0:
        return 0.0, at
    if place < end and (text[place] == _UPPER_E or text[place] == _LOWER_E):
        power, place = _exponent(text, place, end)
        exponent += power
    value = _scaled(mantissa, exponent) if mantissa else 0.0
    return (-value if negative else value), place


@njit(cache=True, nogil=True)
def read_index(text: Bytes, at: int, end: int) -> tuple[int, int]:
    """The whole number at ``at``, negative or not, and the place after it; (0, at) where there is none.

    Of more than MANTISSA_DIGITS digits, noughts before them aside, the first ones: more than any index.
    """
    place = at
    negative = place < end and text[place] == _MINUS
    if negative:
        place += 1
    start = place
    number = digits = 0
    while place < end and _ZERO <= text[place] <= _NINE:
        if digits < MANTISSA_DIGITS:
            number = number * 10 + (text[place] - _ZERO)
            digits += number > 0
        place += 1
    if place == start:
        return 0, at
    return (-number if negative else number), place
