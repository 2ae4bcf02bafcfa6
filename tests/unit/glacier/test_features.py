"""Predictors: right values, and never a label."""

import numpy as np
import pandas as pd
import pytest

from casestudies.errors import InputError
from casestudies.glacier.features import CLIMATE, MONTHS, REGIONAL_GROUPS, TOPOGRAPHY, features

SETS = {"absolute": 3, "seasonal": 10, "monthly": 34, "monthly_published": 34, "lasso": 55}


def make_prepared(glaciers: int = 4, years: int = 9, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    n = glaciers * years
    names = [*CLIMATE, *(f"{c}_anomaly" for c in CLIMATE)]
    names += [
        f"{name}_{month}"
        for name in ("temperature", "snow", "temperature_anomaly", "snow_anomaly")
        for month in MONTHS
    ]
    frame = pd.DataFrame(rng.normal(size=(n, len(names))), columns=names)
    for column in TOPOGRAPHY:
        frame[column] = np.repeat(rng.uniform(1, 5, glaciers), years)
    frame["aspect"] = np.repeat(rng.choice([0, 45, 90, 180], glaciers), years).astype(float)
    frame.insert(0, "glacier", np.repeat([f"G{k}" for k in range(glaciers)], years))
    frame.insert(1, "year", np.tile(np.arange(2000, 2000 + years), glaciers))
    frame["mass_balance"] = rng.normal(size=n)
    return frame


@pytest.mark.parametrize("name", [*SETS, "regional", "complete"])
def test_every_set_is_complete_named_once_and_blind_to_the_label(name):
    prepared = make_prepared()
    frame = features(prepared, name)
    assert frame.columns.is_unique
    assert np.isfinite(frame.to_numpy()).all()
    if name in SETS:
        assert frame.shape[1] == SETS[name]
    assert frame.index.get_level_values("glacier").tolist() == prepared["glacier"].tolist()
    assert frame.index.get_level_values("year").tolist() == prepared["year"].tolist()
    pd.testing.assert_frame_equal(frame, features(prepared.assign(mass_balance=np.nan), name))
    pd.testing.assert_frame_equal(frame, features(prepared.drop(columns="mass_balance"), name))


@pytest.mark.parametrize("name", ["lasso", "regional"])
def test_the_order_of_the_rows_does_not_matter(name):
    prepared = make_prepared()
    shuffled = prepared.sample(frac=1, random_state=0)
    expected = features(prepared, name).iloc[shuffled.index.to_numpy()]
    pd.testing.assert_frame_equal(features(shuffled, name), expected)


def test_the_aspect_is_in_degrees_but_for_the_published_mistake():
    prepared = make_prepared()
    prepared["aspect"] = 90.0
    assert features(prepared, "monthly")["aspect_cosine"].to_numpy() == pytest.approx(0)
    published = features(prepared, "monthly_published")
    assert published["aspect_cosine"].to_numpy() == pytest.approx(np.cos(90))


def test_the_monthly_set_has_the_published_order():
    columns = list(features(make_prepared(), "monthly"))
    assert columns[:4] == [
        "cpdd_anomaly",
        "winter_snow_anomaly",
        "summer_snow_anomaly",
        "mean_altitude",
    ]
    assert columns[9:11] == ["aspect_cosine", "temperature_anomaly_oct"]
    assert columns[-1] == "snow_anomaly_sep"


def test_regional_and_local_add_up_and_the_local_part_averages_to_zero():
    prepared = make_prepared()
    frame = features(prepared, "regional")
    assert list(frame) == [column for group in REGIONAL_GROUPS.values() for column in group]
    for name in CLIMATE:
        total = frame[f"regional_{name}"] + frame[f"local_{name}"]
        np.testing.assert_allclose(total, prepared[f"{name}_anomaly"])
        assert frame.groupby("year")[f"regional_{name}"].nunique().eq(1).all()
        np.testing.assert_allclose(frame.groupby("year")[f"local_{name}"].mean(), 0, atol=1e-12)


def test_memory_holds_former_years_only():
    prepared = make_prepared()
    frame = features(prepared, "regional").groupby("year").first()
    regional = frame["regional_cpdd"]
    assert frame.loc[2004, "previous_cpdd"] == pytest.approx(regional[2003])
    assert frame.loc[2007, "memory_cpdd"] == pytest.approx(regional.loc[2002:2006].mean())
    assert frame.loc[2000, "previous_cpdd"] == pytest.approx(regional.mean())  # no past: the mean

    later = prepared.copy()
    later.loc[later["year"] >= 2006, "cpdd_anomaly"] += 10
    changed = features(later, "regional").groupby("year").first()
    memory = [*REGIONAL_GROUPS["previous"], *REGIONAL_GROUPS["memory"]]
    pd.testing.assert_frame_equal(changed.loc[2001:2006, memory], frame.loc[2001:2006, memory])
    assert (changed.loc[2007, "previous_cpdd"] - frame.loc[2007, "previous_cpdd"]) == pytest.approx(
        10
    )


def test_a_gap_in_the_years_is_not_taken_for_the_previous_year():
    prepared = make_prepared()
    frame = features(prepared[prepared["year"] != 2003], "regional").groupby("year").first()
    assert frame.loc[2004, "previous_cpdd"] == pytest.approx(frame["regional_cpdd"].mean())
    assert frame.loc[2004, "memory_cpdd"] == pytest.approx(
        frame.loc[[2000, 2001, 2002], "regional_cpdd"].mean()
    )


def test_mistakes_are_named():
    prepared = make_prepared()
    with pytest.raises(InputError, match="did you mean 'regional'"):
        features(prepared, "regionel")
    prepared.loc[3, "area"] = 0.0
    with pytest.raises(InputError, match="log_area"):
        features(prepared, "regional")
