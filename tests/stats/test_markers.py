"""Marker genes: what scanpy's own ranking does not show."""

import numpy as np
import pytest
from scipy import stats

from worker.stats.markers import adjusted


@pytest.mark.parametrize("p_values", [[0.03], [1.0, 1.0], [0.0, 0.2, 0.0, 1.0, 0.2], np.linspace(0, 1, 500) ** 3])
def test_p_values_are_adjusted_as_scipy_does(p_values: list[float]) -> None:
    assert adjusted(np.array(p_values)) == pytest.approx(stats.false_discovery_control(p_values), rel=1e-14)
