"""Documents of the parts of the report that can be pointed at."""

import base64
import json

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from casestudies.figures.explore import SIDE, Panel, fields, numbers, packed, palette, thinned
from casestudies.mwas.explore import transfer_cells

MISSING = 65535


def unpacked(text: str, low: float, high: float) -> np.ndarray:
    """Return what the report's script makes of a packed array."""
    steps = np.frombuffer(base64.b64decode(text), "<u2").astype(float)
    steps[steps == MISSING] = np.nan
    return low + (high - low) * steps / (MISSING - 1)


@settings(deadline=None)
@given(arrays(float, (3, 4), elements=st.floats(-5, 5) | st.just(np.nan)))
def test_packed_values_come_back_clipped_and_gaps_stay_gaps(values):
    found = unpacked(packed(values, -2.0, 3.0), -2.0, 3.0)
    np.testing.assert_allclose(found, np.clip(values, -2, 3).ravel(), atol=5 / MISSING)


def test_large_fields_are_thinned_out_and_small_ones_left():
    assert thinned(np.zeros((2, 3, 1000, 500))).shape[-2] <= SIDE
    assert thinned(np.zeros((2, 48, 48))).shape == (2, 48, 48)


def test_fields_hold_one_array_for_each_case_and_choice():
    truth, made = np.zeros((5, 4, 6)), np.ones((5, 2, 4, 6))
    panels = [
        Panel("truth", "m", "sequential", 0, 1, truth),
        Panel("made", "m", "sequential", 0, 1, made, ["model"]),
        Panel("difference", "m", "diverging", -1, 1, minus=("made", "truth")),
    ]
    cases = [str(k) for k in range(5)]
    document = fields(cases, panels, {"model": ["a", "b"]}, {"case": "hill", "note": ""}, start=2)
    assert [len(panel["arrays"]) for panel in document["panels"]] == [5, 10, 0]
    assert document["shape"] == [4, 6] and document["start"] == 2
    json.dumps(document, allow_nan=False)


def test_a_cohort_that_is_too_small_has_no_cell():
    rows = [
        ("ridge_log", "A", "A", 0.8, 0.7, 0.9, 50, 20),
        ("ridge_log", "A", "B", 0.6, 0.5, 0.7, 9, 3),
        ("ridge_log", "B", "A", np.nan, np.nan, np.nan, 50, 20),
        ("ridge_log", "B", "B", np.nan, np.nan, np.nan, 9, 3),
    ]
    columns = ["model", "train", "test", "auc", "lower", "upper", "samples", "positives"]
    document = transfer_cells(pd.DataFrame(rows, columns=columns))
    assert document["layers"][0]["auc"] == [0.8, 0.6, None, None]
    assert document["notes"] == ["20 cases among 50 samples", "3 cases among 9 samples"]
    json.dumps(document, allow_nan=False)


def test_scales_begin_and_end_with_their_colours():
    for name in ("sequential", "diverging", "reversed", "terrain"):
        assert all(len(one) == 7 and one[0] == "#" for one in palette(name))
    assert palette("diverging") == palette("reversed")[::-1]
    assert numbers([1 / 3, np.inf]) == [0.33333, None]
