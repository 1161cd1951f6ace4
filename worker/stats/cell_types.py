"""The authors' own types of cells, where the file has them."""

from typing import Any

import numpy as np
import pandas as pd

from worker.stats.missing import Missing
from worker.stats.summary import CellTypes, Strings


def told(types: Strings | None) -> CellTypes | Missing:
    """Types by how many cells they have; ``types`` (cells,) are empty where nothing is said."""
    if types is None or not (types != "").any():
        return Missing("the file does not say which types the authors found")
    known: Any = np.where(types == "", None, types)  # type: ignore[call-overload]
    codes, names = pd.factorize(known, sort=True)
    sizes = np.bincount(codes[codes >= 0], minlength=len(names))
    order = np.argsort(-sizes, kind="stable")
    places = np.append(np.argsort(order), -1)
    return CellTypes(names[order].astype(object), places[codes].astype(np.int32), sizes[order].astype(np.int32))
