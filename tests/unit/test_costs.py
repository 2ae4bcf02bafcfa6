"""Costs: what is read from benchmark files, and what is made of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casestudies.config import Config, load
from casestudies.costs import scaling
from casestudies.costs.__main__ import _number, as_markdown, expect, plan
from casestudies.costs.laws import Law, read_laws
from casestudies.costs.scaling import Command, parts
from casestudies.costs.usage import STUDIES, by_step, read_usage, step_of
from casestudies.errors import InputError
from casestudies.satellite import networks, supervised
from casestudies.wind.cost import CHEAPER

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
ROW = "{}\t0:00:09\t{}\t1.0\t1.0\t1.0\t0.0\t0.1\t88.0\t{}\n"


def write(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEAD + "".join(ROW.format(*row) for row in rows))


def test_jobs_of_a_step_are_taken_together(tmp_path):
    write(tmp_path / "mwas/a_b/fit_cv.tsv", (9.5, 300.5, 8.25))
    write(tmp_path / "mwas/c/fit_lodo.tsv", (2.0, 500.0, 1.0))
    write(tmp_path / "mwas/c/split_cv.tsv", (0.2, "NA", "NA"))
    found = by_step(read_usage(tmp_path))
    assert set(found) == {"fit_mwas", "split"}
    fit, split = found["fit_mwas"], found["split"]
    assert (fit.jobs, fit.seconds, fit.cpu_seconds, fit.max_rss) == (2, 9.5, 9.25, 500.0)
    assert (split.jobs, split.seconds, split.max_rss) == (1, 0.2, None)


@pytest.mark.parametrize(
    ("path", "step"),
    [
        ("wind/simulated-rans/solve_openfoam/3.tsv", "solve_wind_openfoam"),
        ("wind/my_hills/solve_linear.tsv", "solve_wind"),
        ("mwas/crc-cohorts/plot_transfer.tsv", "plot_transfer_mwas"),
        ("satellite/compare.tsv", "compare_satellite"),
        ("satellite/simulated/fit_blocked_models.tsv", "fit_satellite"),
        ("glacier/simulated/score.tsv", "score"),
        ("fetch/alpgm/folder/file.csv.tsv", "fetch"),
        ("fetch/melbourne-ozonesondes.tsv", "fetch"),
        ("provenance.tsv", "provenance"),
    ],
)
def test_a_benchmark_file_names_its_step(path, step):
    assert step_of(path) == step


def test_the_studies_are_those_of_the_configuration():
    assert tuple(Config().studies) == STUDIES


def test_what_is_no_benchmark_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"holds no benchmark file"):
        read_usage(tmp_path)
    (tmp_path / "other.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(InputError, match=r"other\.tsv: not a benchmark file"):
        read_usage(tmp_path)


def law(sizes, exponents, constant=2.0, factor=0.1):
    return constant + factor * np.prod(np.asarray(sizes) ** np.asarray(exponents), axis=1)


@settings(max_examples=20, deadline=None)
@given(
    exponents=st.tuples(st.floats(0.6, 1.9), st.floats(0.6, 1.9)),
    constant=st.floats(0.1, 1),
)
def test_a_law_of_two_sizes_is_found_and_carried_on(exponents, constant):
    sizes = np.array([[x, y] for x in (10, 40, 160) for y in (5, 50)], dtype=float)
    found = Law.fit(["x", "y"], sizes, law(sizes, exponents, constant))
    np.testing.assert_allclose(found.exponents, exponents, atol=0.05)
    expected = found({"x": 1000, "y": 500})
    truth = law([[1000, 500]], exponents, constant)[0]
    assert expected.lower <= expected.value <= expected.upper
    assert expected.value == pytest.approx(truth, rel=0.15)
    assert found.beyond({"x": 320, "y": 100}) == pytest.approx(4)


def test_repetitions_multiply_and_noise_widens_the_range():
    rng = np.random.default_rng(0)
    sizes = np.array([[n, y] for n in (1, 2) for y in (10, 30, 100, 300)], dtype=float)
    exact = law(sizes, (1, 1.3), 0.1)
    noisy = exact * np.exp(0.2 * rng.standard_normal(len(exact)))
    given = {"flows": 20, "cells": 3000}
    one, other = (Law.fit(["flows", "cells"], sizes, values) for values in (exact, noisy))
    assert one.exponents[0] == other.exponents[0] == 1
    truth = law([[20, 3000]], (1, 1.3), 0.1)[0]
    assert one(given).value == pytest.approx(truth, rel=0.05)
    assert other(given).lower < truth < other(given).upper
    assert other(given).upper / other(given).lower > 1.3 * one(given).upper / one(given).lower


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(1)
    sizes = np.array([[x] for x in (10, 20, 40, 80, 160, 320)], dtype=float)
    exact, truth = law(sizes, (1.2,), 0.5), law([[3000]], (1.2,), 0.5)[0]
    held = 0
    for _ in range(100):
        values = exact * np.exp(0.1 * rng.standard_normal(len(exact)))
        found = Law.fit(["x"], sizes, values)({"x": 3000})
        held += found.lower < truth < found.upper
    assert 80 <= held <= 99


def test_three_measurements_of_two_parameters_leave_a_factor_of_ten():
    sizes = np.array([[10.0], [20.0], [40.0]])
    found = Law.fit(["x"], sizes, np.array([1.0, 1.5, 4.0]))({"x": 400})
    assert found.upper / found.value == found.value / found.lower == pytest.approx(10)


def test_what_follows_no_law_is_told_by_no_wider_interval_than_a_factor_of_a_hundred():
    sizes = np.array([[10.0], [20.0], [40.0], [80.0], [160.0]])
    found = Law.fit(["x"], sizes, np.array([1.0, 500, 0.01, 300, 0.1]))({"x": 4000})
    assert found.upper / found.value == pytest.approx(100)


def test_what_hardly_grows_is_carried_on_in_proportion():
    sizes = np.array([[10.0], [20.0], [40.0], [80.0]])
    values = 2 + 1e-5 * sizes[:, 0] + np.array([0, 0.01, -0.01, 0])
    found = Law.fit(["x"], sizes, values)({"x": 8000})
    assert 1.9 < found.value < 5 and found.upper < 100


def test_memory_does_not_grow_with_what_is_done_one_by_one(tmp_path):
    rows = ["part,sizes,cpu_seconds,peak_mb,written_mb"]
    for values, frames in ((10, 500), (100, 50), (1000, 30), (1000, 90)):
        sizes = f"values = {values}; frames = {frames}"
        rows.append(f"p,{sizes},{0.01 * values * frames},{200 + 0.5 * values},1")
    (tmp_path / "costs.csv").write_text("\n".join(rows))
    laws = read_laws(tmp_path / "costs.csv")["p"]
    expected = {name: one({"values": 2000, "frames": 9000}).value for name, one in laws.items()}
    assert expected["peak_mb"] == pytest.approx(1200, rel=0.1)
    assert expected["cpu_seconds"] == pytest.approx(180_000, rel=0.2)


def test_a_size_that_was_not_varied_is_carried_on_in_proportion():
    values = np.array([2.0, 2.1, 1.9])
    one = Law.fit(["x"], np.full((3, 1), 7.0), values)
    assert one({"x": 700}).value == pytest.approx(200, rel=0.02) and one.beyond({"x": 700}) == 100
    assert one({"x": 700}).upper == pytest.approx(2000, rel=0.02)
    assert one({"x": 7}).upper < 3
    assert Law.fit(["x"], np.full((3, 1), 7.0), values, 0.0)({"x": 700}).value < 2.2
    sizes = np.array([[10.0, 5], [20, 5], [40, 5], [80, 5]])
    both = Law.fit(["x", "y"], sizes, 1 + 0.1 * sizes[:, 0])
    assert both({"x": 40, "y": 50}).value == pytest.approx(41, rel=0.05)


def test_numbers_have_two_digits():
    shown = [_number(value) for value in (0.0004, 0.0123, 0.987, 9.96, 12.34, 98765)]
    assert shown == ["< 0.01", "0.012", "0.99", "10", "12", "99000"]


# What a command is made of ----------------------------------------------------------------------


def command(text: str) -> Command:
    return Command.parse(f"OMP_NUM_THREADS=1 python -m casestudies.{text} 2> logs/some.log")


ENCODE = (
    "satellite.encode --images results/satellite/simulated/images.zarr --prepared p {splits}"
    ' --encoders pca autoencoder --settings \'{{"pca": {{}}, "autoencoder":'
    ' {{"steps": 10, "batch": 32}}}}\' --features f'
)


def test_the_work_of_an_encoding_has_two_parts():
    config = load({"satellite": {"simulation": {"pixels": 1000, "days": 30, "hours": [0, 23]}}})
    every = command(ENCODE.format(splits=""))
    folds = command(
        ENCODE.format(splits="--splits results/satellite/simulated/splits/blocked.parquet")
    )
    assert every.step == "encode_satellite" and every.dataset(config) == "simulated"
    found, threefold = dict(parts(every, config)), dict(parts(folds, config))
    frames, values = 30 * 24, 4e6
    assert found["encode_satellite/closed form"] == {"values": values, "frame passes": 5 * frames}
    # Of such frames four make up the most that a step takes.
    # Each is standardised and put in order as well, and 31 are looked at after each of ten steps.
    passes = 3 * 10 * 4 + 10 * 1.25e8 / values + 3 * frames + frames
    assert found["encode_satellite/networks"] == {"values": values, "frame passes": passes}
    less = passes - 3 * frames / 3  # a third of the frames is not learned from
    assert threefold["encode_satellite/networks"]["frame passes"] == pytest.approx(3 * less)


def test_the_last_job_of_flows_may_have_fewer():
    config = load({"wind": {"simulation": {"terrains": 50}, "datasets": ["simulated-rans"]}})
    text = (
        "wind.solve --solver openfoam --terrains results/wind/simulated-rans/terrains.nc"
        " --number {} --per-job 20 --output results/wind/simulated-rans/flows/openfoam/0.nc"
    )
    sizes = [parts(command(text.format(number)), config)[0][1]["flows"] for number in (0, 1, 2)]
    assert sizes == [20, 20, 10]


def test_longer_training_is_more_work():
    config = Config()
    text = (
        "glacier.train --prepared results/glacier/simulated/prepared.parquet --splits"
        " results/glacier/simulated/splits/{}.parquet --model {}"
        ' --settings \'{{"known_year_epochs": {}, "new_year_epochs": 5}}\''
    )
    work = {
        (scheme, model, epochs): parts(command(text.format(scheme, model, epochs)), config)
        for scheme in ("logo", "forward")
        for model in ("paper_network", "paper_protocol")
        for epochs in (10, 20)
    }
    sizes = {key: found[0][1]["row passes"] for key, found in work.items()}
    assert sizes["logo", "paper_network", 20] == 2 * sizes["logo", "paper_network", 10]
    assert sizes["forward", "paper_network", 20] == sizes["forward", "paper_network", 10]
    assert sizes["logo", "paper_network", 10] == 4 * sizes["logo", "paper_protocol", 10]


def test_the_size_of_a_data_set_of_ones_own_is_not_guessed(tmp_path):
    config = load({"glacier": {"local": {"mine": {"path": str(tmp_path)}}}})
    with pytest.raises(InputError, match=r"glacier\.local\.mine: the size"):
        parts(command("glacier.plot --results results/glacier/mine"), config)


def test_work_that_was_never_measured_is_listed_without_numbers():
    (row,) = expect([command("wind.simulate --terrains 10")] * 2, Config(), {})
    assert (row.rule, row.jobs, row.hours) == ("simulate_wind", 2, None)
    last = as_markdown([row]).splitlines()[-1]
    assert last == "| `simulate_wind` | 2 |" + " not measured |" * 6


def test_a_table_that_is_none_is_named(tmp_path):
    (tmp_path / "costs.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="not a table of measured costs"):
        read_laws(tmp_path / "costs.csv")


def test_what_is_counted_is_what_the_studies_do():
    assert 1 + len(CHEAPER["openfoam"]) == scaling._FORMS
    assert scaling._EVALUATIONS == supervised._EVALUATIONS
    assert scaling._BATCH_VALUES == networks._PIXELS


def test_every_published_data_set_has_its_size():
    for study, known in scaling.PUBLISHED.items():
        built_in = getattr(Config(), study).built_in
        assert {name for name in built_in if not name.startswith("simulated")} <= set(known)


def test_a_configuration_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.yaml: no such configuration file"):
        plan([tmp_path / "none.yaml"])
