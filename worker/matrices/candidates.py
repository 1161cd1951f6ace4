"""Where in a file the raw counts are: each place that may hold them is looked at, the first that does is read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.errors import NoRawCountsError
from worker.matrices.counts import Sample

SAMPLE_VALUES: Final = 200_000
"""Values looked at in each of three spots of a place."""
COUNT_LAYERS: Final = ("counts", "raw_counts", "count", "raw_count", "raw", "umi_counts", "umis", "estimated_counts")
"""Layers that are named for what they hold, case folded; in the order they are looked at."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place in the file, such as ``raw.X``, and how to look at some of its values."""

    place: str
    sample: Callable[[], npt.NDArray[np.floating]]


def named_for_counts(layers: Sequence[str]) -> list[str]:
    """Layers that may hold raw counts by their name, likeliest first."""
    folded = {layer.casefold(): layer for layer in layers}
    return [folded[name] for name in COUNT_LAYERS if name in folded]


def choose(candidates: Sequence[Candidate]) -> tuple[str, str]:
    """The place of the raw counts and a sentence that says why; NoRawCountsError where none has any.

    Whole numbers come first, wherever they are; then fractions that may be expected counts.
    """
    samples = [(candidate.place, _finite(candidate.sample())) for candidate in candidates]
    whole = [place for place, sample in samples if sample.whole and len(sample.values)]
    expected = [place for place, sample in samples if sample.maybe_expected]
    empty = [place for place, sample in samples if not len(sample.values)]
    seen = "; ".join(f"{place} has {sample.described}" for place, sample in samples)
    if not (whole or expected or empty):
        raise NoRawCountsError(f"{seen}; send a file with raw counts in X, raw.X or a layer “counts”")
    place = (whole or expected or empty)[0]
    return place, f"Counts are taken from {place}: {seen}."


def _finite(values: npt.NDArray[np.floating]) -> Sample:
    """What is no number says nothing of the others; its place is named when all values are read."""
    return Sample(values[np.isfinite(values)])
