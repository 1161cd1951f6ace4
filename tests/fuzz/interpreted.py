"""Compiled kernels run as plain Python, so that their branches are seen and no index leaves its array unnoticed."""

import errno
import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import numba
import numpy as np


def interpret_kernels() -> None:
    """From now on ``numba.njit`` compiles nothing; to be called before the kernels' modules are imported.

    NUMBA_DISABLE_JIT alone would not do: bytes taken from an array are uint8 then, and sums of them wrap at 256.
    """
    numba.njit = _njit  # type: ignore[assignment]


def _njit(*_: object, **__: object) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return _interpreted


def _interpreted(kernel: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(kernel)
    def run(*arguments: Any) -> Any:
        try:
            return kernel(*map(_plain, arguments))
        except OverflowError as error:
            if error.args[0] != errno.ERANGE:
                raise
            return math.inf  # what a compiled power of ten gives where Python's own raises

    return run


def _plain(argument: Any) -> Any:
    """Text as a view whose items are Python's own numbers, as wide as they need to be."""
    is_text = isinstance(argument, np.ndarray) and argument.dtype == np.uint8
    return memoryview(argument) if is_text else argument
