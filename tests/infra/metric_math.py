"""CloudWatch's metric math, as far as the Terraform uses it, on minutes of which some have no datapoint.

AWS's description (user guide, "Using math expressions with CloudWatch metrics") and what people report of missing
datapoints differ, so that an expression has to hold in each ``World``.
"""

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

Series = Sequence[float | None]
Value = Series | float

_ARITHMETIC: Final[dict[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARISONS: Final[dict[type[ast.cmpop], Callable[[float, float], float]]] = {
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
}


@dataclass(frozen=True, slots=True)
class World:
    """What becomes of a datapoint that is missing beside one that is there, and of FILL where there is none at all."""

    missing_is_zero: bool
    fills_the_empty: bool

    def value(self, expression: str, known: Mapping[str, Series]) -> Series:
        """The series that ``expression`` makes of those that are known, all of one length."""
        found = self._of(ast.parse(expression, mode="eval").body, known)
        assert not isinstance(found, float), f"{expression} is no series"
        return found

    def _of(self, node: ast.expr, known: Mapping[str, Series]) -> Value:
        match node:
            case ast.Constant(value=int() as number):
                return float(number)
            case ast.Name(id=name):
                return known[name]
            case ast.BinOp(left, operation, right):
                return self._each(_ARITHMETIC[type(operation)], self._of(left, known), self._of(right, known))
            case ast.Compare(left, [comparison], [right]):
                return self._each(_COMPARISONS[type(comparison)], self._of(left, known), self._of(right, known))
            case ast.Call(ast.Name(id="FILL"), [series, filler]):
                return self._filled(self._of(series, known), filler)
            case ast.Call(ast.Name(id="IF"), [condition, *branches]):
                return self._chosen(self._of(condition, known), [self._of(each, known) for each in branches])
        raise AssertionError(f"this cannot be reckoned with here: {ast.unparse(node)}")

    def _each(self, function: Callable[[float, float], float], left: Value, right: Value) -> Value:
        def at(x: float | None, y: float | None) -> float | None:
            if x is None and y is None:
                return None
            if x is None or y is None:
                both_are_series = not isinstance(left, float) and not isinstance(right, float)
                if not (self.missing_is_zero and both_are_series):
                    return None
            try:
                return float(function(x or 0.0, y or 0.0))
            except ZeroDivisionError:
                return None

        if isinstance(left, float) and isinstance(right, float):
            return float(function(left, right))
        length = len(left) if not isinstance(left, float) else len(right) if not isinstance(right, float) else 0
        return [at(x, y) for x, y in zip(_spread(left, length), _spread(right, length), strict=True)]

    def _filled(self, series: Value, filler: ast.expr) -> Value:
        assert not isinstance(series, float)
        match filler:
            case ast.Name(id="REPEAT"):
                return _repeated(series)
            case ast.Constant(value=int() as number) if self.fills_the_empty or set(series) != {None}:
                return [float(number) if point is None else point for point in series]
        return series

    def _chosen(self, condition: Value, branches: Sequence[Value]) -> Value:
        assert not isinstance(condition, float)
        length = len(condition)
        chosen, other = (_spread(branch, length) for branch in (*branches, [None] * length)[:2])
        instead = 0.0 if self.missing_is_zero else None

        def at(minute: int) -> float | None:
            if condition[minute] is None:
                return None
            if condition[minute]:
                return instead if chosen[minute] is None else chosen[minute]
            return other[minute]

        return [at(minute) for minute in range(length)]


WORLDS: Final = {
    "as documented": World(missing_is_zero=True, fills_the_empty=True),
    "as documented, and what is empty stays so": World(missing_is_zero=True, fills_the_empty=False),
    "what is missing stays so": World(missing_is_zero=False, fills_the_empty=True),
}


def _spread(value: Value, length: int) -> Series:
    return [value] * length if isinstance(value, float) else value


def _repeated(series: Series) -> Series:
    def last(before: float | None, now: float | None) -> float | None:
        return before if now is None else now

    return list(accumulate(series, last))
