"""What the figures of all studies share: labels that do not overlap, panels that can be read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casestudies.figures.shared import spread
from casestudies.figures.style import panel_grid


@given(st.lists(st.floats(-1, 1), max_size=30), st.floats(0.01, 0.3))
def test_labels_are_apart_in_order_and_inside(wanted, gap):
    placed = spread(np.array(wanted), gap, -1.3, 1.3)
    assert len(placed) == len(wanted)
    if len(wanted) > 1:
        order = np.argsort(wanted, kind="stable")
        assert (np.diff(placed[order]) >= min(gap, 2.6 / (len(wanted) - 1)) - 1e-9).all()
    assert (np.abs(placed) <= 1.3 + 1e-9).all()


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=20), st.floats(0.01, 0.3))
def test_labels_without_bounds_keep_their_mean(wanted, gap):
    placed = spread(np.array(wanted), gap)
    assert np.mean(placed) == pytest.approx(np.mean(wanted), abs=1e-6)


def test_labels_with_room_stay():
    np.testing.assert_allclose(spread(np.array([0.5, -0.5, 0.0]), 0.1), [0.5, -0.5, 0.0])


@pytest.mark.parametrize(("count", "shape"), [(1, (1, 1)), (2, (1, 2)), (3, (2, 2)), (4, (2, 2))])
def test_panels_stand_in_rows_of_two(tmp_path, count, shape):
    with panel_grid(tmp_path / "a.svg", count, (3, 2), (1, 0.5)) as (drawing, axes):
        rows, columns = shape
        assert len(axes) == count and all(axis.get_visible() for axis in axes)
        assert tuple(drawing.get_size_inches()) == (3 * columns + 1, 2 * rows + 0.5)
        grid = axes[0].get_subplotspec().get_gridspec()
        assert (grid.nrows, grid.ncols) == shape
    assert (tmp_path / "a.svg").is_file()
