"""The reader of ALPGM's files: right on the published data, closed to anything but plain arrays."""

import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from casestudies.errors import InputError
from casestudies.glacier import IDENTIFIERS, MONTHS, UNITS, alpgm
from casestudies.glacier.prepare import prepare

IDS = ["G006934E45883N", "G006149E45143N", "G006159E45160N"]
YEARS = np.arange(1982, 1989)


def save(path: Path, content: Any) -> None:
    with path.open("wb") as stream:  # numpy.save would add .npy to a name
        np.save(stream, np.asarray(content), allow_pickle=True)


def climate() -> dict[str, dict[str, Any]]:
    """Return the dictionaries of the four climate files, made up."""
    rng = np.random.default_rng(np.random.SeedSequence(1))
    season = {key: rng.gamma(4, 200, (3, 7)) for key in ("CPDD", "winter_snow", "summer_snow")}
    month = {"temp": rng.normal(0, 5, (3, 7, 12)), "snow": rng.gamma(2, 50, (3, 7, 12))}

    def seasonal(key: str) -> np.ndarray:
        field = "CPDD" if key == "CPDD" else "snow"
        return np.array(
            [
                {
                    "Glacier": np.str_("a name"),
                    "GLIMS_ID": np.str_(glacier),
                    field: np.column_stack([YEARS, values]).ravel(),
                    "Mean": np.float64(values.mean()),
                }
                for glacier, values in zip(IDS, season[key], strict=True)
            ]
        )

    def monthly(key: str, anomalies: bool) -> np.ndarray:
        values = month[key] - month[key].mean(axis=1, keepdims=True) * anomalies
        return np.array(
            [
                {
                    "GLIMS_ID": glacier,
                    f"mon_{key}": list(table),
                    "years": YEARS.tolist() if key == "temp" else [],
                }
                for glacier, table in zip(IDS, values, strict=True)
            ]
        )

    return {
        alpgm.SEASONAL: {key: seasonal(key) for key in season},
        alpgm.SEASONAL_ANOMALIES: {
            key: values - values.mean(axis=1, keepdims=True) for key, values in season.items()
        },
        alpgm.MONTHLY: {key: monthly(key, False) for key in month},
        alpgm.MONTHLY_ANOMALIES: {key: monthly(key, True) for key in month},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    frame = pd.DataFrame(
        {
            "GLIMS_ID": IDS,
            "Glacier": ["Mer de Glace 1", "des Quirlies", "Saint Sorlin"],
            "Massif": ["Mont Blanc", "Grandes Rousses", "Grandes Rousses"],
            "MEAN_Pixel": [2800.0, 2900.0, 3000.0],
            "MAX_Pixel": [4016, 3364, 3413],
            "slope20": [8, 12, 9],
            "Area": [28.0, 1.5, 2.0],
            "x_coord": [6.93, 6.14, 6.16],
            "y_coord": [45.87, 45.14, 45.16],
            "Aspect_num": [315, 90, 45],
        }
    )
    frame.to_csv(folder / alpgm.GLACIERS, sep=";", index=False)
    for year, area, height in ((1967, 2.0, -300), (1985, 1.0, -200), (2003, 0.5, -100)):
        earlier = frame.assign(Area=frame.Area + area, MEAN_Pixel=frame.MEAN_Pixel + height)
        stray = earlier.iloc[[1]].assign(Area=90.0, MEAN_Pixel=1000.0)  # another part of one
        earlier = pd.concat([stray, earlier])[["Area", "MEAN_Pixel", "GLIMS_ID"]]
        earlier.to_csv(folder / f"GLIMS_{year}.csv", sep=";", index=False)
    balance = np.round(np.random.default_rng(2).normal(-1, 1, (3, 7)), 2)
    balance[0, 0] = balance[2, 6] = np.nan
    pd.DataFrame(balance).to_csv(folder / alpgm.BALANCE, sep=";", index=False, header=False)
    for name, content in climate().items():
        save(folder / name, content)
    return folder


# The table ------------------------------------------------------------------------------------


def test_the_table_is_that_of_the_files(folder: Path) -> None:
    frame = alpgm.read(folder)
    assert list(frame.columns) == [*IDENTIFIERS, *UNITS]
    assert frame["sample"].tolist() == [f"{glacier}_{year}" for glacier in IDS for year in YEARS]
    assert frame["mass_balance"].isna().to_numpy().nonzero()[0].tolist() == [0, 20]
    stored = climate()
    row = frame[frame["sample"] == f"{IDS[1]}_1985"].iloc[0]
    assert row["summer_snow"] == stored[alpgm.SEASONAL]["summer_snow"][1]["snow"][7]
    assert row["cpdd_anomaly"] == stored[alpgm.SEASONAL_ANOMALIES]["CPDD"][1, 3]
    assert row["snow_jan"] == stored[alpgm.MONTHLY]["snow"][1]["mon_snow"][3][3]
    anomalies = stored[alpgm.MONTHLY_ANOMALIES]["temp"][1]["mon_temp"][3]
    assert row[[f"temperature_anomaly_{month}" for month in MONTHS]].tolist() == list(anomalies)
    assert row["name"] == "des Quirlies" and row["massif"] == "Grandes Rousses"


def test_the_geometry_follows_the_inventories(folder: Path) -> None:
    frame = alpgm.read(folder).set_index("sample")
    # 25 values from 1959 (inventory of 1967) to 1983 (of 1985); the inventory again in 1984;
    # 19 values to 2002 (of 2003).
    height, area = frame["mean_altitude"], frame["area"]
    assert height[f"{IDS[0]}_1982"] == pytest.approx(np.linspace(2500, 2600, 25)[23])
    assert height[f"{IDS[0]}_1983"] == height[f"{IDS[0]}_1984"] == pytest.approx(2600)
    assert area[f"{IDS[2]}_1988"] == pytest.approx(np.linspace(3, 2.5, 19)[4])
    # Of two rows the one nearest in area to 2015, not the first or the last.
    assert height[f"{IDS[1]}_1984"] == pytest.approx(2700)


def test_a_slope_measured_anew_is_preferred(folder: Path) -> None:
    path = folder / alpgm.GLACIERS
    frame = pd.read_csv(path, sep=";")
    frame.assign(slope20_evo=[6.9, 13.7, 8.4]).to_csv(path, sep=";", index=False)
    assert alpgm.read(folder).groupby("glacier")["slope20"].first()[IDS[1]] == 13.7


def test_the_step_prepares_it(folder: Path, tmp_path: Path) -> None:
    prepare(raw=folder, reader="alpgm", output=tmp_path / "prepared.parquet")
    assert len(pd.read_parquet(tmp_path / "prepared.parquet")) == 21


def change(name: str, edit: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        content = climate()[name]
        edit(content)
        save(folder / name, content)

    return apply


def replaced(name: str, old: str, new: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return apply


def swap(content: dict[str, Any]) -> None:
    content["CPDD"] = content["CPDD"][[1, 0, 2]]


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "no file": (lambda folder: (folder / alpgm.MONTHLY).unlink(), "monthly_meteo_SMB.*no such"),
    "no balance": (lambda folder: (folder / alpgm.BALANCE).unlink(), "SMB_raw_temporal.*no such"),
    "no column": (replaced(alpgm.GLACIERS, "MAX_Pixel", "MAX"), "'MAX_Pixel' is missing"),
    "no number": (replaced(alpgm.GLACIERS, ";4016", ";high"), "row 1 .*'high' is not a number"),
    "glacier twice": (replaced(alpgm.GLACIERS, IDS[0], IDS[1]), f"{IDS[1]} is there twice"),
    "not in an inventory": (replaced("GLIMS_1985.csv", IDS[0], "G0"), f"1985.*{IDS[0]}"),
    "a balance in words": (replaced(alpgm.BALANCE, ";", ";none;"), "7 years|not a readable|lines"),
    "a line less": (
        lambda folder: (folder / alpgm.BALANCE).write_text("1;2;3;4;5;6;7\n" * 2),
        "2 lines of 7 fields.*3 glaciers of 7 years",
    ),
    "text in a balance": (
        lambda folder: (folder / alpgm.BALANCE).write_text("1;2;x;4;5;6;7\n" * 3),
        "'field 3', row 1 of the data: 'x' is not a number",
    ),
    "wrong order": (change(alpgm.SEASONAL, swap), f"number 1 of 3 is {IDS[1]}"),
    "wrong order without names": (
        change(alpgm.SEASONAL_ANOMALIES, swap),
        f"anomalies.*cpdd of glacier {IDS[0]}",
    ),
    "a glacier less": (
        change(alpgm.MONTHLY, lambda content: content.update(temp=content["temp"][:2])),
        "number 3 of 2 is missing",
    ),
    "a key less": (change(alpgm.MONTHLY, lambda content: content.pop("snow")), "'snow' is missing"),
    "other years": (
        change(alpgm.MONTHLY, lambda content: content["temp"][1].update(years=[1] * 7)),
        f"years of glacier {IDS[1]}",
    ),
    "years that jump": (
        change(
            alpgm.SEASONAL,
            lambda content: content["summer_snow"][0]["snow"].__setitem__(2, 1990),
        ),
        "not the same years",
    ),
    "a month less": (
        change(
            alpgm.MONTHLY,
            lambda content: content["snow"][0].update(mon_snow=[np.zeros(11)] * 7),
        ),
        "snow/mon_snow must hold numbers, equally many",
    ),
    "a gap": (
        change(
            alpgm.MONTHLY, lambda content: content["snow"][0]["mon_snow"][0].__setitem__(0, np.nan)
        ),
        "snow/mon_snow has missing",
    ),
    "an anomaly of something else": (
        change(alpgm.SEASONAL_ANOMALIES, lambda content: content["CPDD"].__iadd__(np.eye(3, 7))),
        "does not belong to season_meteo_SMB",
    ),
    "no dictionary": (lambda folder: save(folder / alpgm.MONTHLY, [1, 2]), "not a dictionary"),
}


@pytest.mark.parametrize("fault, message", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_named(folder: Path, fault: Callable[[Path], None], message: str) -> None:
    fault(folder)
    with pytest.raises(InputError, match=message) as caught:
        alpgm.read(folder)
    assert str(folder) in str(caught.value)


# NumPy files ----------------------------------------------------------------------------------


def header(descr: str = "'|O'", shape: str = "()") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


class Reduced:
    """An object that pickles to a call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any, state: Any = None) -> None:
        self.reduction = (function, arguments, state) if state else (function, arguments)

    def __reduce__(self) -> tuple:
        return self.reduction


def forge(tmp_path: Path, payload: bytes, **of_header: str) -> Path:
    path = tmp_path / "forged.txt"
    path.write_bytes(header(**of_header) + payload)
    return path


RECONSTRUCT = np._core.multiarray._reconstruct
# An object dtype whose state denies that it holds objects: NumPy would take bytes for pointers.
LYING = Reduced(np.dtype, "O8", False, True, state=(3, "|", None, None, None, 8, 8, 0))
FIELDS = Reduced(np.dtype, "V8", False, True)


def lied_about(dtype: Any, data: Any, shape: tuple = (1,)) -> Reduced:
    return Reduced(RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, shape, dtype, False, data))


FORGERIES: dict[str, Any] = {
    "os.system": Reduced(os.system, "touch {target}"),
    "eval": Reduced(eval, "open({target!r}, 'w')"),
    "exec": Reduced(exec, "open({target!r}, 'w')"),
    "getattr": Reduced(getattr, "text", "upper"),
    "open": Reduced(open, "{target}", "w"),
    "numpy.load": Reduced(np.load, "{target}"),
    "numpy.save": Reduced(np.save, "{target}", 1),
    "numpy.zeros": Reduced(np.zeros, 3),
    "numpy.memmap": Reduced(np.memmap, "{target}", "u1", "w+", 0, (1,)),
    "a class": np.random.default_rng,
    "an object dtype that lies": lied_about(LYING, b"\x08" * 8),
    "an object array from bytes": lied_about(np.dtype("O"), b"\x08" * 8, (8,)),
    "a truncated object array": lied_about(np.dtype("O"), [1], (2,)),
    "a structured dtype": lied_about(np.dtype([("a", "O")]), b"\x08" * 8),
    "a void dtype": lied_about(FIELDS, b"\x08" * 8),
    "too few bytes": lied_about(np.dtype("f8"), b"\x08" * 7),
    "a negative shape": lied_about(np.dtype("f8"), b"\x08" * 8, (-1,)),
    "a vast shape": lied_about(np.dtype("f8"), b"", (1 << 60, 1 << 60)),
    "another array type": Reduced(RECONSTRUCT, np.matrix, (0,), b"b"),
    "a scalar of an object": Reduced(np._core.multiarray.scalar, np.dtype("O"), b"\x08" * 8),
    "a date": np.datetime64("2000-01-01"),
    "a set": {1, 2},
    "a complex number": 1j,
}


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("forged", FORGERIES.values(), ids=FORGERIES.keys())
def test_anything_but_plain_arrays_is_refused(tmp_path: Path, forged: Any, protocol: int) -> None:
    target = tmp_path / "touched"
    if isinstance(forged, Reduced):
        function, arguments, *rest = forged.reduction
        arguments = tuple(
            argument.format(target=str(target)) if isinstance(argument, str) else argument
            for argument in arguments
        )
        forged = Reduced(function, *arguments, state=rest[0] if rest else None)
    box = np.empty((), dtype=object)  # so that the forgery alone is at fault
    box[()] = {"inside": forged}
    path = forge(tmp_path, pickle.dumps(box, protocol))
    with pytest.raises(InputError, match="not loaded"):
        alpgm.read_numpy(path)
    assert not target.exists()


def test_the_forgeries_are_real(tmp_path: Path) -> None:
    """What the reader refuses would have run: otherwise the test above shows nothing."""
    target = tmp_path / "touched"
    path = forge(tmp_path, pickle.dumps(Reduced(os.system, f"touch {target}"), 2))
    np.load(path, allow_pickle=True)
    assert target.exists()


GLOBAL = b"c_codecs\nencode\n"
ALTERATIONS = {
    # BUILD with a dictionary, and with a pair whose second part would be set as attributes
    "attributes": b"\x80\x02" + GLOBAL + b"}X\x01\x00\x00\x00aK\x01sb.",
    "slots": b"\x80\x02" + GLOBAL + b"N}X\x09\x00\x00\x00_functionNs\x86b.",
    "extension": b"\x80\x02\x82\x01.",
    "persistent": b"\x80\x02Pname\n.",
    "dotted": b"\x80\x04X\x05\x00\x00\x00numpyX\x10\x00\x00\x00ndarray.__init__\x93.",
    "endless list": b"\x80\x02]q\x00h\x00a.",
    "cut off": b"\x80\x02]q\x00",
    "nothing": b"",
    "no array": b"\x80\x02}.",
    "another encoding": b"\x80\x02" + GLOBAL + b"X\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R.",
}


@pytest.mark.parametrize("payload", ALTERATIONS.values(), ids=ALTERATIONS.keys())
def test_the_reader_cannot_be_altered(tmp_path: Path, folder: Path, payload: bytes) -> None:
    with pytest.raises(InputError, match="not loaded"):
        alpgm.read_numpy(forge(tmp_path, payload))
    alpgm.read(folder)


@pytest.mark.parametrize(
    "of_header",
    [
        {"descr": "__import__('os').system('true')"},
        {"descr": "[('a', '|O')]"},
        {"descr": "'|V8'", "shape": "(1 << 40,)"},
        {"shape": "(2,)"},
        {"shape": "'x'"},
    ],
)
def test_a_wrong_header_is_refused(tmp_path: Path, of_header: dict[str, str]) -> None:
    content = pickle.dumps(np.array({"a": 1}, dtype=object), 4)
    with pytest.raises(InputError, match="not loaded"):
        alpgm.read_numpy(forge(tmp_path, content, **of_header))


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("1 2 3")
    with pytest.raises(InputError, match="magic string"):
        alpgm.read_numpy(tmp_path / "text.txt")
    with pytest.raises(InputError, match="no such file"):
        alpgm.read_numpy(tmp_path / "none.txt")


@settings(max_examples=200, deadline=None)
@given(payload=st.binary(max_size=80), protocol=st.sampled_from([b"", b"\x80\x02", b"\x80\x04"]))
def test_random_bytes_are_refused_or_plain(
    tmp_path_factory: pytest.TempPathFactory, payload: bytes, protocol: bytes
) -> None:
    path = forge(tmp_path_factory.mktemp("random"), protocol + payload + b".")
    with pytest.raises(InputError):  # the header announces an array, which this never is
        alpgm.read_numpy(path)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | npst.arrays(
        st.sampled_from(["f8", "f4", "<i4", ">i4", "u1", "?", "U3"]),
        npst.array_shapes(min_dims=1, max_dims=3, max_side=3),
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


def equal(one: Any, other: Any) -> bool:
    if isinstance(other, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(
            one, other, equal_nan=other.dtype.kind == "f"
        )
    if isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in other)
    if isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return type(one) is type(other) and one == other


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(content=st.dictionaries(st.text(max_size=3), plain, max_size=4), protocol=st.integers(2, 4))
def test_what_numpy_saves_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, Any], protocol: int
) -> None:
    box = np.empty((), dtype=object)
    box[()] = content
    path = forge(tmp_path_factory.mktemp("plain"), pickle.dumps(box, protocol))
    assert equal(alpgm.read_numpy(path), content)


def test_a_plain_array_needs_no_pickle(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.arange(6.0).reshape(2, 3), allow_pickle=False)
    (tmp_path / "plain.txt").write_bytes(buffer.getvalue())
    assert alpgm.read_numpy(tmp_path / "plain.txt").tolist() == [[0, 1, 2], [3, 4, 5]]


# Stored predictions ---------------------------------------------------------------------------


@pytest.fixture
def stored(folder: Path) -> Path:
    (folder / "published").mkdir()
    balance = np.genfromtxt(folder / alpgm.BALANCE, delimiter=";")
    by_glacier = balance[np.isfinite(balance)]
    later = balance[:, 2:].T
    for label, shift in (("no_weights", 0.25), ("weights", 0.5)):
        name = f"{label}_SMB_nn_all.txt"
        save(folder / "published" / f"LOGO_{name}", by_glacier + shift)
        save(folder / "published" / f"LOYO_{name}", later[np.isfinite(later)] + shift)
    return folder


def test_predictions_meet_their_observations(stored: Path) -> None:
    frame = alpgm.published_predictions(stored)
    assert list(frame.columns) == ["scheme", "weights", "sample", "observed", "predicted"]
    assert frame.groupby(["scheme", "weights"]).size().to_dict() == {
        ("logo", False): 19,
        ("logo", True): 19,
        ("loyo", False): 14,
        ("loyo", True): 14,
    }
    shift = np.where(frame["weights"], 0.5, 0.25)
    np.testing.assert_allclose(frame["predicted"] - frame["observed"], shift)
    balance = alpgm.read(stored).set_index("sample")["mass_balance"]
    assert (balance.loc[frame["sample"]].to_numpy() == frame["observed"]).all()
    assert (frame.loc[frame["scheme"] == "loyo", "sample"].str[-4:].astype(int) >= 1984).all()


def test_predictions_of_other_data_are_refused(stored: Path) -> None:
    save(stored / "published" / "LOYO_weights_SMB_nn_all.txt", np.zeros(13))
    with pytest.raises(InputError, match=r"LOYO_weights.*13.*14 observations"):
        alpgm.published_predictions(stored)
    save(stored / "published" / "LOYO_weights_SMB_nn_all.txt", np.full(14, np.nan))
    with pytest.raises(InputError, match="finite"):
        alpgm.published_predictions(stored)


# The published data ---------------------------------------------------------------------------


@pytest.mark.published
@pytest.mark.parametrize(
    "name, observed, later", [("alpgm", 1047, 985), ("alpgm-corrected", 1048, 986)]
)
def test_the_published_data(mirror: Path, name: str, observed: int, later: int) -> None:
    frame = alpgm.read(mirror / name)
    assert frame.shape == (1824, 67) and frame["glacier"].nunique() == 32
    assert frame["year"].min() == 1959 and frame["year"].max() == 2015
    seen = frame.dropna()
    assert len(seen) == observed == frame["mass_balance"].notna().sum()
    assert (seen["year"] >= 1984).sum() == later
    # anomalies are from the mean of 1984–2015
    anomalies = frame.filter(like="_anomaly")
    recent = anomalies[frame["year"] >= 1984].groupby(frame["glacier"]).mean()
    assert anomalies.shape[1] == 27 and recent.abs().to_numpy().max() < 1e-9
    # the seasons are nearly, and not quite, those of the calendar months
    months = frame[[f"snow_{month}" for month in MONTHS]].sum(axis=1)
    excess = frame["winter_snow"] + frame["summer_snow"] - months
    assert 35 < excess.std() < 45 and 250 < excess.abs().max() < 260
    # Sarennes, nearly gone by 2015, is matched to its smaller part of 2003
    small = frame.set_index("sample")["area"]
    assert small["G006129E45117N_2003"] == 0.0124 and small["G006129E45117N_2015"] == 0.047


@pytest.mark.published
def test_the_published_scores(mirror: Path) -> None:
    frame = alpgm.published_predictions(mirror / "alpgm")
    expected = {
        ("logo", False): (1047, 0.514, 0.769, 0.009),
        ("logo", True): (1047, 0.517, 0.767, 0.011),
        ("loyo", False): (985, 0.559, 0.725, 0.005),
        ("loyo", True): (985, 0.557, 0.727, -0.012),
    }
    for key, rows in frame.groupby(["scheme", "weights"]):
        error = rows["predicted"] - rows["observed"]
        scores = (
            len(rows),
            (error**2).mean() ** 0.5,
            1 - (error**2).sum() / ((rows["observed"] - rows["observed"].mean()) ** 2).sum(),
            error.mean(),
        )
        assert scores == pytest.approx(expected[key], abs=6e-4)


@pytest.mark.published
def test_corrected_observations_are_not_those_predicted(mirror: Path, tmp_path: Path) -> None:
    for path in (mirror / "alpgm-corrected").iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "published").symlink_to(mirror / "alpgm" / "published")
    with pytest.raises(InputError, match="1048 observations"):
        alpgm.published_predictions(tmp_path)
