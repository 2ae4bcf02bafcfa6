import json

import numpy as np
import pandas as pd
import pytest

from casestudies.config.schemes import Blocked
from casestudies.errors import InputError
from casestudies.evaluation.splits import split
from casestudies.satellite import compare, gallery, plot
from casestudies.satellite.encode import encode
from casestudies.satellite.images import Channel, ImageWriter
from casestudies.satellite.results import ENCODERS, MODELS, NETWORKS, SUFFIX, Results, best
from casestudies.tables import write_table
from tests.conftest import ROOT

SCHEMES = ["blocked", "random", "loyo"]
FITTED = [*MODELS, "latent_all_images", "pca_all_images", "temporal_autoencoder_all_images"]
GAP = 7.0
SKILL = {"mean": 0.0, "season": 0.12, "neighbourhood": 0.3, "raw_pixels": 0.34, "cnn": 0.38}
NETWORK = "temporal_autoencoder"
SKILL |= {NETWORK: 0.62, "pca": 0.46, "latent": 0.66, "oracle": 0.91, "autoencoder": 0.5}
COLUMNS = ["scheme", "model", "metric", "estimate", "lower", "upper", "samples", "groups"]


def make(folder, frames=240, side=20, channels=2, latent=6, seed=1):
    """Write the tables and images of one data set, in the form in which the study's steps do."""
    rng = np.random.default_rng(seed)
    times = np.datetime64("2019-03-01T08") + np.arange(frames) * np.timedelta64(6, "h")
    states = np.cumsum(rng.normal(size=(frames, 3)), axis=0)
    states = (states - states.mean(axis=0)) / states.std(axis=0)
    grid = np.arange(side) / side
    y, x = np.meshgrid(grid, grid, indexing="ij")
    layers = [Channel(f"channel_{k}", "K", f"channel {k}", -60, 60) for k in range(channels)]
    coordinates = (grid, {"units": "1"})
    with ImageWriter(folder / "images.zarr", layers, frames, coordinates, coordinates) as writer:
        for time, (a, b, c) in zip(times, states, strict=True):
            plume = 3 * np.exp(-((y - 0.5 - 0.15 * a) ** 2 + (x - 0.5 - 0.15 * b) ** 2) / 0.03)
            image = np.stack([plume * (k + 1) + c * x for k in range(channels)])
            image += rng.normal(size=image.shape) * 0.4 + 30
            image[:, :, : rng.integers(0, side // 3)] = np.nan
            writer.append(time, image)
    positions = np.arange(2, frames, 4)
    moment = pd.DatetimeIndex(times[positions])
    count = len(positions)
    label = states[positions, 0] + 0.3 * rng.normal(size=count)
    prepared = pd.DataFrame(
        {
            "sample": moment.strftime("%Y%m%dT%H"),
            "time": moment,
            "day": positions / 4.0,
            "year": moment.year,
            "frame": positions,
            "label": label,
        }
    )
    about = {"long_name": "ozone at the station", "units": "nmol mol-1", "log": False}
    write_table(prepared, folder / "prepared.parquet", about)

    scores, curve = [], []
    for scheme in SCHEMES:
        for model in FITTED:
            known = SKILL.get(model.removesuffix(SUFFIX), 0.4 + 0.2 * rng.random())
            known += 0.05 * (model.endswith(SUFFIX)) + 0.15 * (scheme == "random") * (known > 0)
            known = min(known, 0.95)
            predicted = known * label + np.sqrt(known * (1 - known)) * rng.normal(size=count)
            table = pd.DataFrame(
                {
                    "repeat": 0,
                    "fold": np.arange(count) * 4 // count,
                    "sample": prepared["sample"],
                    "observed": label,
                    "predicted": predicted,
                    "lower": predicted - 1.0,
                    "upper": predicted + 1.0,
                }
            )
            file = folder / "predictions" / scheme / f"{model}.parquet"
            write_table(table, file, {"seconds": 80.0, "joules": 900.0, "device": "cpu"})
            width = -1.2 if model == "cnn" else -0.1
            row = (known, known + width, known + 0.08, count, "4")
            scores += [
                (scheme, model, "r2", *row),
                (scheme, model, "rmse", 1 - known, 0, 1, count, "4"),
            ]
            if scheme == "blocked" and (model in SKILL or model == "latent_all_images"):
                for labels in (12, 25, 50, 100, 200):
                    at = known - 3 * (1 - known) / np.sqrt(labels)
                    curve.append((model, labels, at, at - 0.12, at + 0.09, 8, count))
    write_table(pd.DataFrame(scores, columns=COLUMNS), folder / "scores.csv")
    pairs = pd.DataFrame(
        [
            ("blocked", "rmse", model, "season", shift, shift - 0.1, shift + 0.1, count, "4")
            for model, shift in (
                ("latent", -0.4),
                ("latent_all_images", -0.45),
                ("cnn", 0.6),
                ("raw_pixels", -0.02),
                ("pca", -0.2),
                ("neighbourhood", -0.15),
                ("oracle", -0.7),
            )
        ],
        columns=[*COLUMNS[:1], "metric", "model", "reference", *COLUMNS[3:]],
    )
    write_table(pairs, folder / "comparisons.csv")
    names = ["model", "labels", "estimate", "lower", "upper", "draws", "samples"]
    write_table(pd.DataFrame(curve, columns=names), folder / "label_curves.csv")
    differences = [
        (model, reference, labels, 0.3 / shrink, 0.3 / shrink - 0.1, 0.3 / shrink + 0.1)
        for model in ("latent", "latent_all_images")
        for reference in ("raw_pixels", "cnn", "pca")
        for shrink, labels in enumerate((12, 25, 50, 100, 200), start=1)
    ]
    names = ["model", "reference", "labels", "difference", "lower", "upper"]
    write_table(pd.DataFrame(differences, columns=names), folder / "label_differences.csv")
    overfit = [
        (method, pixels, 2 * pixels**2 + 5, fold, 190, train, test - 0.1 * fold)
        for fold in range(3)
        for pixels in (1, 2, 4, 8, 16, 48)
        for method, train, test in (
            ("least_squares", min(1, 0.2 + pixels / 10), 0.4 - 0.2 * pixels),
            ("ridge", min(0.8, 0.2 + pixels / 20), 0.3 + pixels / 100),
        )
    ]
    names = ["method", "pixels", "parameters", "fold", "labels", "train_r2", "test_r2"]
    write_table(pd.DataFrame(overfit, columns=names), folder / "overfitting.parquet")

    for encoder in ENCODERS:
        for scope in ("blocked", "all_images"):
            folds = [-1] if scope == "all_images" else range(4)
            parts = []
            for fold in folds:
                part = pd.DataFrame({"fold": fold, "frame": np.arange(frames)})
                for k in range(latent):
                    part[f"z{k}"] = states[:, k % 3] * (k + 1) + rng.normal(size=frames)
                parts.append(part)
            joules = None if encoder == "pca" else 5000.0 * rng.random()
            facts = {
                "seconds": 90 * rng.random(),
                "joules": joules,
                "device": "cpu",
                "method": "estimated",
            }
            target = folder / "features" / scope
            write_table(pd.concat(parts), target / f"{encoder}.parquet", facts)
            steps = np.arange(0, 500, 50)
            curves = pd.DataFrame(
                {
                    "fold": np.repeat(list(folds), len(steps)),
                    "step": np.tile(steps, len(folds)),
                }
            )
            curves["training_loss"] = np.exp(-curves["step"] / 200) + 0.2
            curves["validation_loss"] = np.exp(-curves["step"] / 220) + 0.25 + 0.01 * curves["fold"]
            if encoder in NETWORKS:
                write_table(curves, target / f"{encoder}_curves.parquet")
    return folder


def encode_images(folder, steps=4):
    """Fit the encoders whose images are shown, in the step that does so in the workflow."""
    scheme = Blocked(time="day", blocks=4, gap=GAP, inner_folds=2)
    split(
        samples=folder / "prepared.parquet",
        target="label",
        scheme=scheme.model_dump_json(),
        seed=1,
        output=folder / "splits" / "blocked.parquet",
    )
    settings = {"pca": {"latent": 6}, NETWORK: {"latent": 6, "steps": steps, "width": 8}}
    encode(
        images=folder / "images.zarr",
        prepared=folder / "prepared.parquet",
        splits=folder / "splits" / "blocked.parquet",
        gap=GAP,
        encoders=list(settings),
        settings=json.dumps(settings),
        seed=1,
        device="cpu",
        checkpoint=folder / "checkpoints",
        features=folder / "features" / "blocked",
        weights=folder / "encoders" / "blocked",
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = make(tmp_path_factory.mktemp("satellite") / "simulated")
    encode_images(made)
    return made


@pytest.mark.parametrize("name", plot.FIGURES)
def test_every_figure_is_drawn(folder, tmp_path, name):
    plot.plot(
        results=folder, schemes=SCHEMES, models=FITTED, gap=GAP, figures=[name], output=tmp_path
    )
    text = (tmp_path / f"{name}.svg").read_text(encoding="utf-8")
    assert "<svg" in text and len(text) > 5000


def test_every_figure_has_a_caption():
    for name in [*plot.FIGURES, "skill"]:
        caption = (ROOT / "workflow" / "report" / "satellite" / f"{name}.rst").read_text()
        assert len(caption.split()) > 25 and "\n" not in caption.strip()


def test_figures_are_drawn_with_the_models_that_there_are(folder, tmp_path):
    few = ["season", "raw_pixels", "pca", "latent"]
    figures = ["scores", "label_curves", "observed_predicted", "latent_traversal", "cost"]
    plot.plot(
        results=folder,
        schemes=["blocked"],
        models=few,
        gap=GAP,
        figures=figures,
        output=tmp_path,
    )
    assert {path.stem for path in tmp_path.iterdir()} == set(figures)


def test_a_missing_score_is_named(folder):
    results = Results(folder, SCHEMES, FITTED, GAP)
    with pytest.raises(InputError, match="no r2 of nothing on blocked"):
        results.score("blocked", "r2", "nothing")


def test_the_best_network_has_the_greatest_score(folder):
    results = Results(folder, SCHEMES, FITTED, GAP)
    name = best(results, NETWORKS)
    rows = results.scores.query("scheme == 'blocked' and metric == 'r2'").set_index("model")
    assert name in NETWORKS
    top = max(rows.loc[n, "estimate"] for n in rows.index if n.removesuffix(SUFFIX) in NETWORKS)
    assert top in {rows.loc[n, "estimate"] for n in (name, name + SUFFIX) if n in rows.index}


def test_autocorrelation_of_an_irregular_series_equals_the_sum_over_pairs():
    rng = np.random.default_rng(2)
    slots = np.sort(rng.choice(400, 250, replace=False))
    values = np.cumsum(rng.normal(size=250))
    lags, correlation, pairs = gallery.autocorrelation(slots * 0.5, values, 0.5, 10.0)
    assert lags[0] == 0 and correlation[0] == pytest.approx(1) and pairs[0] == 250
    centred = dict(zip(slots, values - values.mean(), strict=True))
    for lag in (1, 7, 20):
        both = [(centred[s], centred[s + lag]) for s in centred if s + lag in centred]
        a, b = np.array(both).T
        k = int(np.flatnonzero(lags == lag * 0.5)[0])
        assert pairs[k] == len(both)
        assert correlation[k] == pytest.approx((a @ b) / np.sqrt((a @ a) * (b @ b)))


def test_autocorrelation_of_noise_is_small_and_of_a_wave_periodic():
    rng = np.random.default_rng(3)
    days = np.arange(2000.0)
    _, noise, pairs = gallery.autocorrelation(days, rng.normal(size=2000), 1.0, 50.0)
    assert (np.abs(noise[1:]) < 4 / np.sqrt(pairs[1:])).all()
    lags, wave, _ = gallery.autocorrelation(days, np.sin(2 * np.pi * days / 20), 1.0, 50.0)
    np.testing.assert_allclose(wave, np.cos(2 * np.pi * lags / 20), atol=0.02)


def test_season_and_hour_are_regressed_out():
    time = np.datetime64("2013-01-01T00") + np.arange(2920) * np.timedelta64(6, "h")
    moment = pd.DatetimeIndex(time)
    day = moment.day_of_year - 1 + moment.hour / 24
    wave = 5 + 3 * np.sin(2 * np.pi * day / 365.25) + 2 * np.cos(2 * np.pi * moment.hour / 24)
    left = gallery.without_season(np.asarray(wave), time)
    assert np.abs(left).max() < 1e-9


def test_large_frames_are_few(folder):
    images = Results(folder, SCHEMES, FITTED, GAP).images
    everything = np.arange(240)
    assert len(gallery._candidates(everything, images)) == gallery.CANDIDATES
    images.shape = (240, 4, 2000, 2000)
    assert len(gallery._candidates(everything, images)) == 3
    assert list(gallery._candidates(everything[:2], images)) == [0, 1]


def test_principal_components_come_back_as_images(folder):
    results = Results(folder, SCHEMES, FITTED, GAP)
    shown = gallery.load(results, "pca")
    tested = results.predictions("blocked", "pca").query("fold == @shown.fold")["sample"]
    assert set(results.prepared.set_index("sample").loc[tested, "frame"]) == set(shown.frames)
    values, valid = shown.decoder.standardiser.apply(results.images.read(shown.frames))
    made = shown.decoder.decode(shown.decoder.transform(results.images, shown.frames))
    assert made.shape == values.shape
    error = ((made - values)[valid] ** 2).mean()
    assert error < 0.6 * (values[valid] ** 2).mean()


def test_the_network_decodes_to_standardised_images(folder):
    results = Results(folder, SCHEMES, FITTED, GAP)
    shown = gallery.load(results, NETWORK)
    made = shown.decoder.decode(np.zeros((2, 6)))
    assert made.shape == (2, *results.images.shape[1:]) and np.abs(made).max() < 5


def test_errors_of_reconstructions_count_valid_pixels_only():
    difference = np.full((1, 1, 2, 2), 3.0)
    valid = np.array([[[[True, False], [False, False]]]])
    difference[0, 0, 1] = np.nan
    assert gallery._root_mean_square(difference, valid) == pytest.approx([3.0])


def test_skill_is_the_removed_share_of_the_squared_error():
    scores = pd.DataFrame(
        {"scheme": "blocked", "model": ["season"], "metric": "rmse", "estimate": 2.0, "samples": 9}
    )
    pairs = pd.DataFrame(
        {
            "scheme": "blocked",
            "metric": "rmse",
            "model": ["latent", "cnn"],
            "reference": "season",
            "estimate": [-1.0, 1.0],
            "lower": [-1.5, 0.0],
            "upper": [0.0, 2.0],
            "samples": 9,
        }
    )
    table = compare.skill(scores, pairs, "blocked")
    np.testing.assert_allclose(
        table.loc["latent", ["estimate", "lower", "upper"]], [0.75, 0, 0.9375]
    )
    np.testing.assert_allclose(table.loc["cnn", ["estimate", "lower", "upper"]], [-1.25, -3, 0])
    with pytest.raises(InputError, match="season on loyo"):
        compare.skill(scores, pairs, "loyo")


def test_the_skill_of_all_data_sets_is_drawn(folder, tmp_path):
    compare.compare(
        scores=[folder / "scores.csv"] * 2,
        comparisons=[folder / "comparisons.csv"] * 2,
        scheme="blocked",
        text=tmp_path / "finding.txt",
        output=tmp_path / "skill.svg",
    )
    assert (tmp_path / "skill.svg").stat().st_size > 5000
    assert "skill of the latent" in (tmp_path / "finding.txt").read_text().splitlines()[1]


def test_the_finding_counts_the_data_sets_whose_interval_is_above_0():
    table = pd.DataFrame(
        {"estimate": [0.5, -0.2], "lower": [0.1, -0.4], "upper": [0.7, 0.1], "samples": 9},
        index=["latent", "raw_pixels"],
    )
    worse = table.assign(lower=-0.1)
    headline, first, second = compare.finding(
        {"a": table, "b": worse}, {"a": 0.25, "b": 0.5}, "blocked"
    ).splitlines()
    assert headline.endswith("beats season and hour on 1 of 2 data sets: a.")
    assert (
        "a (9 labels, R² of season and hour 0.25): skill of the latent 0.50 [0.10, 0.70]" in first
    )
    assert second.endswith("of ridge regression on raw pixels -0.20 [-0.10, 0.10].")
    alone = [compare.finding({"a": one}, {"a": 0.25}, "blocked") for one in (table, worse)]
    assert alone[0].splitlines()[0].endswith("choose beats season and hour on a.")
    assert alone[1].splitlines()[0].endswith("is not shown to beat season and hour on a.")
