"""The authors' types are counted as they are told, and a cell of which nothing is told has none."""

import numpy as np
import pytest

from worker.matrices.annotations import cell_types
from worker.stats.cell_types import told
from worker.stats.missing import Missing


def strings(*values: str) -> "np.ndarray[tuple[int], np.dtype[np.object_]]":
    return np.array(values, dtype=object)


def test_types_are_ordered_by_their_cells() -> None:
    found = told(strings("T", "", "B", "T", "NK", "B", "T"))

    assert not isinstance(found, Missing)
    assert found.names.tolist() == ["T", "B", "NK"]
    assert found.labels.tolist() == [0, -1, 1, 0, 2, 1, 0]
    assert found.sizes.tolist() == [3, 2, 1]


@pytest.mark.parametrize("types", [None, strings("", "")])
def test_a_file_that_tells_nothing_has_no_types(types: "np.ndarray[tuple[int], np.dtype[np.object_]] | None") -> None:
    assert isinstance(told(types), Missing)


def test_the_first_column_that_tells_something_counts_and_unknown_is_nothing() -> None:
    columns = {
        "author_cell_type": strings("x1", "x2", "x3"),
        "Cell_Type": strings("T cell ", "unknown", "nan"),
        "cell_type__ontology_label": strings("", "", ""),
    }

    found = cell_types(columns)

    assert found is not None
    assert found.tolist() == ["T cell", "", ""]
    assert cell_types({"celltype": strings("Unknown", "NA")}) is None
    assert cell_types({"louvain": strings("0", "1")}) is None
