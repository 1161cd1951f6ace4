"""What is wrong with a document, in a few words."""

from typing import Final

from pydantic import ValidationError

from shared.errors import one_line

PLACE_CHARACTERS: Final = 100
"""Of the name of a wrong field: an unknown one is as long as its sender pleases."""


def first_problem(error: ValidationError, whole: str) -> str:
    """The first field that is wrong and why, and how many more there are; ``whole`` is what the document is called."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = one_line(".".join(map(str, first["loc"])), PLACE_CHARACTERS) or whole
    others = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return one_line(f"{place}: {first['msg'].removeprefix('Value error, ')}{others}")
