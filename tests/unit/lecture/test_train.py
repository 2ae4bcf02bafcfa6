"""The experiments with networks, on tiny settings, and the figures and findings made of them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from casestudies.config.lecture import Approximation, Networks, Simulation, Starts
from casestudies.errors import InputError
from casestudies.evaluation.scores import score
from casestudies.evaluation.splits import split
from casestudies.lecture import EXPERIMENT_FIGURES, FIGURES, illustrate, plot
from casestudies.lecture.extrapolate import extrapolate
from casestudies.lecture.fit import fit
from casestudies.lecture.optimise import optimise
from casestudies.lecture.prepare import prepare
from casestudies.lecture.redraw import redraw
from casestudies.lecture.regularisation import regularise
from casestudies.lecture.simulate import simulate
from casestudies.lecture.summarise import number, summarise
from casestudies.lecture.train import (
    Run,
    approximation,
    franke,
    parameters_of,
    sgd,
    spread_of_starts,
    train,
    variance,
)
from casestudies.tables import read_metadata
from casestudies.training.ensemble import Architecture, Layer, StackedNetworks

CPU = Run(torch.device("cpu"))
TINY = {
    "variance": Networks(widths=[2, 8], measurements=10, sets=5, steps=30),
    "starts": Starts(widths=[2, 8], starts=8, points=20, steps=30),
    "approximation": Approximation(widths=[2, 8], depths=[1, 2], starts=2, points=60, steps=30),
}


def test_parameters_are_those_of_the_networks():
    for width, depth in ((3, 1), (5, 2), (7, 3)):
        hidden = tuple(Layer(width, negative_slope=0.0) for _ in range(depth))
        networks = StackedNetworks(Architecture(hidden), 3, [0])
        weights = sum(networks.weight_sizes[:-1])  # without padding
        biases = sum(networks.other_sizes[:-1])
        assert parameters_of(width, depth) == weights + biases


def test_frankes_function_has_its_known_values():
    corners = np.array([[0.0, 0.0], [2 / 9, 2 / 9]])
    first = 0.75 * np.exp(-2) + 0.75 * np.exp(-1 / 49 - 0.1) + 0.5 * np.exp(-58 / 4)
    first -= 0.2 * np.exp(-16 - 49)
    second = 0.75 + 0.75 * np.exp(-9 / 49 - 0.3) + 0.5 * np.exp(-26 / 4) - 0.2 * np.exp(-4 - 25)
    np.testing.assert_allclose(franke(corners), [first, second], rtol=1e-12)


def test_variance_obeys_its_identities_and_is_reproducible():
    table = variance(TINY["variance"], Simulation(), 0.95, 4, CPU)
    np.testing.assert_allclose(table["bias2"] + table["variance"], table["error"], rtol=1e-9)
    np.testing.assert_allclose(
        table["sampling"] + table["initialisation"], table["variance"], rtol=1e-9
    )
    assert list(table["parameters"]) == [9, 33] and (table["networks"] == 10).all()
    assert table["rise"].iloc[-1] == 0 == table["rise_upper"].iloc[-1]
    again = variance(TINY["variance"], Simulation(), 0.95, 4, CPU)
    pd.testing.assert_frame_equal(table, again)
    other = variance(TINY["variance"], Simulation(), 0.95, 5, CPU)
    assert not np.allclose(table["variance"], other["variance"])


def test_more_steps_end_lower():
    short = TINY["starts"]
    losses = [
        spread_of_starts(settings, 4, CPU).groupby("width")["loss"].mean()
        for settings in (short, short.model_copy(update={"steps": 600}))
    ]
    assert (losses[1] < losses[0]).all()


def test_wider_networks_approximate_better():
    settings = TINY["approximation"].model_copy(update={"steps": 300, "points": 200})
    table = approximation(settings, 4, CPU)
    assert len(table) == 2 * 2 * 2
    mean = table.groupby("width")["error"].mean()
    assert mean[8] < mean[2] < 1.2


def test_the_learning_rate_falls_with_the_width():
    rates = [sgd(width, TINY["starts"]).learning_rate for width in (4, 12)]
    assert rates[0] == 2 * rates[1]
    assert sgd(4, TINY["starts"]).optimizer == "sgd"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """All tables of the study, on tiny settings."""
    folder = tmp_path_factory.mktemp("run")
    results, data = folder / "results/lecture", folder / "results/lecture/simulated"
    simulate(settings='{"measurements": 30}', seed=1, output=folder / "raw")
    prepare(raw=folder / "raw", output=data / "prepared.parquet")
    split(
        samples=data / "prepared.parquet",
        target="consumption",
        scheme='{"kind": "random_kfold", "folds": 3, "inner_folds": 2}',
        seed=1,
        output=folder / "splits.parquet",
    )
    models = ["mean", "physics"]
    models += [f"polynomial_{n}{fit}" for n in (2, 5, 12) for fit in ("", "_sgd", "_momentum")]
    common = {"prepared": data / "prepared.parquet", "models": models, "seed": 1}
    fit(
        **common,
        splits=folder / "splits.parquet",
        settings='{"steps": 30}',
        units=["sample"],
        output=data / "predictions/kfold",
        errors=data / "errors/kfold.parquet",
    )
    extrapolate(
        **common,
        settings='{"steps": 30}',
        predict_at=180,
        bootstrap=50,
        curves=data / "curves.parquet",
        output=data / "extrapolation.parquet",
    )
    redraw(
        settings='{"sets": 50, "degrees": 8}',
        few=10,
        seed=1,
        output=results / "bias_variance.parquet",
    )
    optimise(
        settings='{"starts": 20, "steps": 60}',
        seed=1,
        paths=results / "paths.parquet",
        output=results / "descents.parquet",
    )
    regularise(seed=1, figure=folder / "regularisation.svg", table=results / "regularisation.csv")
    for name, settings in TINY.items():
        train(
            experiment=name,
            settings=settings.model_dump_json(),
            seed=1,
            device="cpu",
            checkpoint=folder / "checkpoints",
            output=results / f"{name}.parquet",
        )
    return folder


def test_predictions_are_scored_by_the_step_that_all_studies_share(run: Path):
    data = run / "results/lecture/simulated"
    outputs = {name: run / f"{name}.csv" for name in ("scores", "comparisons", "coverages")}
    score(
        samples=data / "prepared.parquet",
        predictions=sorted((data / "predictions/kfold").glob("*.parquet")),
        units='{"kfold": ["sample"]}',
        resamples=100,
        seed=1,
        **outputs,
        provenances=run / "provenance.json",
    )
    rmse = pd.read_csv(outputs["scores"]).query("metric == 'rmse'").set_index("model")
    assert len(rmse) == 11 and (rmse["groups"] == 30).all()
    assert rmse.loc["physics", "estimate"] < rmse.loc["mean", "lower"]


def test_a_training_step_stores_what_it_has_used(run: Path):
    for name in TINY:
        facts = read_metadata(run / f"results/lecture/{name}.parquet")
        assert facts["model"] == name and facts["device"] == "cpu" and facts["seconds"] > 0
        assert {"joules", "co2e_kg", "method", "country"} <= set(facts)
        assert json.loads(facts["settings"]) == TINY[name].model_dump(mode="json")
    assert not (run / "checkpoints").exists()


def test_the_findings_are_a_headline_and_a_line_a_figure(run: Path):
    options = {"results": run / "results/lecture", "scheme": "kfold"}
    output = run / "finding.txt"
    summarise(**options, datasets=["simulated"], truth=run / "raw/truth.csv", output=output)
    headline, *lines = output.read_text().splitlines()
    assert headline.startswith("Of polynomials with 2, 5 and 12 parameters")
    subjects = [line.split(":")[0] for line in lines]
    assert subjects == [
        "Validation on simulated",
        "Descent on simulated",
        "Prediction on simulated",
        "Bias and variance",
        "Optimisation",
        "Networks",
        "Local minima",
        "Approximation",
        "Regularisation",
        "Order of magnitude",
    ]
    errors = pd.read_parquet(run / "results/lecture/simulated/errors/kfold.parquet")
    rows = errors[errors["model"] == "polynomial_2"]
    assert f"2 parameters {number(rows['train'].mean())} in training" in lines[0]
    assert "the truth is 10.2" in lines[2]
    summarise(**options, datasets=["simulated"], output=output)
    assert "the truth is 10.2" not in output.read_text()


def test_every_figure_is_drawn_the_same_each_time(run: Path):
    for name in ("one", "two"):
        plot.plot(
            results=run / "results/lecture/simulated",
            scheme="kfold",
            truth=run / "raw/truth.csv",
            figures=list(FIGURES),
            output=run / name,
        )
        illustrate.illustrate(
            results=run / "results/lecture", figures=list(EXPERIMENT_FIGURES), output=run / name
        )
    for name in (*FIGURES, *EXPERIMENT_FIGURES):
        one, two = ((run / n / f"{name}.svg").read_bytes() for n in ("one", "two"))
        assert one == two, name
    # A user's own measurements have no known truth.
    plot.plot(
        results=run / "results/lecture/simulated",
        scheme="kfold",
        figures=list(FIGURES),
        output=run / "own",
    )
    assert (run / "own/prediction.svg").read_bytes() != (run / "one/prediction.svg").read_bytes()


def test_every_figure_has_a_caption_that_states_the_claim():
    from tests.conftest import ROOT

    assert set(FIGURES) == set(plot.FIGURES)
    assert set(EXPERIMENT_FIGURES) == set(illustrate.FIGURES)
    for name in (*FIGURES, *EXPERIMENT_FIGURES, "cost"):
        text = (ROOT / f"workflow/report/lecture/{name}.rst").read_text()
        assert "*The lecture's claim.*" in text and "*Found.*" in text, name


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0123, "0.012"),
        (5.26, "5.3"),
        (10.19, "10.2"),
        (123.4, "123"),
        (-1.5e7, "-1.5·10⁷"),
        (2e-15, "2·10⁻¹⁵"),
        (0.0, "0"),
    ],
)
def test_numbers_read_well(value: float, text: str):
    assert number(value) == text


def test_an_unknown_experiment_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="variance"):
        train(
            experiment="varianse",
            seed=1,
            device="cpu",
            checkpoint=tmp_path / "c",
            output=tmp_path / "x.parquet",
        )
    assert not (tmp_path / "x.parquet").exists()


def test_a_killed_experiment_resumes_and_ends_with_the_same_table(tmp_path: Path, monkeypatch):
    from casestudies.lecture import train as module

    run = replace(CPU, checkpoints=tmp_path, every=0.0)
    whole = spread_of_starts(TINY["starts"], 4, CPU)
    real, calls = module.train_ensemble, []

    def killed(*arguments, **options):
        calls.append(real(*arguments, **options))
        if len(calls) == 1:
            raise KeyboardInterrupt
        return calls[-1]

    monkeypatch.setattr(module, "train_ensemble", killed)
    with pytest.raises(KeyboardInterrupt):
        spread_of_starts(TINY["starts"], 4, run)
    pd.testing.assert_frame_equal(spread_of_starts(TINY["starts"], 4, run), whole)
    assert calls[1].resumed > 0 and calls[2].resumed == 0
