"""Costs: what is read from benchmark files, and what is made of it."""

import pytest

from casestudies.config import Config
from casestudies.costs import STUDIES, by_step, read_usage, step_of
from casestudies.errors import InputError

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
