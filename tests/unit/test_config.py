import json

import pytest
import yaml

from casestudies.config import Config, load
from casestudies.config.__main__ import write
from casestudies.errors import InputError
from casestudies.seeds import job_seed
from tests.conftest import ROOT


def test_files_are_in_step_with_the_models(tmp_path):
    write(folder=tmp_path)
    for name in ("config.yaml", "schema.json", "README.md"):
        assert (tmp_path / name).read_text() == (ROOT / "config" / name).read_text(), (
            "run `python -m casestudies.config --folder config`"
        )


def test_the_default_file_is_the_default():
    values = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    assert load(values) == Config()


@pytest.mark.parametrize("name", ["published.yaml", "rans.yaml", "full.yaml"])
def test_overlays_are_valid_by_schema_and_models(name):
    import jsonschema
    from snakemake.utils import update_config

    merged = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    update_config(merged, yaml.safe_load((ROOT / "config" / name).read_text()))
    jsonschema.validate(merged, json.loads((ROOT / "config" / "schema.json").read_text()))
    load(merged)


def test_the_campaign_runs_the_published_data_as_published():
    whole, published = (
        yaml.safe_load((ROOT / "config" / name).read_text())
        for name in ("full.yaml", "published.yaml")
    )
    assert whole["glacier"] == published["glacier"] and whole["mwas"] == published["mwas"]
    assert set(published["satellite"]["datasets"]) < set(whole["satellite"]["datasets"])
    for key in ("schemes", "label_curves"):
        assert whole["satellite"][key] == published["satellite"][key]


def local(**options) -> dict:
    """A satellite data set of one's own, with the name of a scheme."""
    own = {"path": ".", "options": options} if options else {"path": "."}
    return {"satellite": {"local": {"blocked": own}}}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"glacer": {}}, "glacer: unknown key; did you mean 'glacier'?"),
        ({"glacier": {"shemes": {}}}, "glacier.shemes: unknown key; did you mean 'schemes'?"),
        ({"seed": "x"}, "seed: input should be a valid integer"),
        ({"scores": {"coverage": 2}}, "scores.coverage: input should be less than 1 (got 2)"),
        (
            {"glacier": {"models": ["rigde"]}},
            "glacier.models.0: 'rigde' is not valid; did you mean",
        ),
        ({"glacier": {"datasets": ["alpgm-corected"]}}, "did you mean 'alpgm-corrected'?"),
        ({"glacier": {"schemes": {"a": {"kind": "forwrd"}}}}, "schemes.a.kind: 'forwrd' is not"),
        (
            {"glacier": {"schemes": {"a": {"kind": "leave_one_group_out", "grup": "x"}}}},
            "glacier.schemes.a.grup: unknown key; did you mean 'group'?",
        ),
        (
            {"glacier": {"schemes": {"a": {"kind": "forward", "time": "y", "cuts": [3, 1]}}}},
            "glacier.schemes.a.cuts: must be in ascending order",
        ),
        ({"training": {"device": "cuda"}}, "gpu must be 1 when device is cuda"),
        (
            {"glacier": {"local": {"mine": {"path": "nowhere"}}}},
            "mine.path: nowhere is not a folder",
        ),
        (local(), "satellite.local.blocked.options: required, but missing"),
        (
            local(images={"reader": "grid"}, soundings={"reader": "woudk", "layer": "total"}),
            "satellite.local.blocked.options.soundings.reader: 'woudk' is not valid; did you mean",
        ),
        (
            local(images={"reader": "grid", "chanels": []}),
            "satellite.local.blocked.options.images.chanels: unknown key; did you mean 'channels'?",
        ),
        (
            local(images={"reader": "tropomi", "qa": 2}),
            "satellite.local.blocked.options.images.qa: input should be less than or equal to 1",
        ),
    ],
)
def test_a_mistake_names_the_key_and_the_remedy(values, message):
    with pytest.raises(InputError) as caught:
        load(values)
    assert message in str(caught.value)


def test_each_job_has_a_seed_of_its_own():
    seeds = {job_seed(1, "fit", model) for model in ("a", "b", "c")}
    assert len(seeds) == 3 and job_seed(1, "fit", "a") in seeds
    assert job_seed(2, "fit", "a") not in seeds


def test_the_configuration_names_every_model_figure_and_network():
    from typing import get_args

    from casestudies.config.glacier import Model, Network
    from casestudies.glacier import EXPLAINED, FIGURES, plot
    from casestudies.glacier.models import MODELS

    assert set(get_args(Model)) == set(MODELS)
    assert set(FIGURES) == set(plot.FIGURES)
    assert set(EXPLAINED) == set(plot.STYLES)
    assert {*get_args(Model), *get_args(Network), "chosen", "stack"} == set(plot.MODELS)
    for name in FIGURES:
        assert (ROOT / f"workflow/report/glacier/{name}.rst").is_file()


def test_leaving_out_years_takes_several():
    datasets = ["simulated", "mauna-loa-ozone", "melbourne-total-ozone"]
    study = load({"satellite": {"datasets": datasets}}).satellite
    assert study.schemes_of("simulated") == ["blocked", "random"]
    assert study.schemes_of("mauna-loa-ozone") == ["blocked", "random"]  # two years
    assert study.schemes_of("melbourne-total-ozone") == ["blocked", "random", "loyo"]
    assert "oracle" in study.fitted("simulated", "blocked")
    assert "oracle" not in study.fitted("mauna-loa-ozone", "blocked")
    assert study.fitted("simulated", "random") == [
        "season",
        "raw_pixels",
        "coarse_pixels",
        "pca_all_images",
    ]


def test_a_job_fits_the_models_that_its_schemes_and_data_sets_allow(tmp_path):
    glacier = load({"glacier": {"models": ["mean", "year_mean"]}}).glacier
    assert glacier.fitting_jobs() == {
        "known_year": (["mean", "year_mean"], ["logo"]),
        "new_year": (["mean"], ["loyo", "lsygo", "forward"]),
    }
    only = load({"glacier": {"models": ["year_mean"]}}).glacier
    assert only.fitting_jobs() == {"known_year": (["year_mean"], ["logo"])}
    local = {"mine": {"path": str(tmp_path), "solver": "openfoam"}}
    wind = load({"wind": {"baselines": ["linear", "mass_consistent"], "local": local}}).wind
    assert wind.fitting_jobs() == {
        "mass_consistent": (["linear"], ["simulated", "massifs"]),
        "openfoam": (["linear", "mass_consistent"], ["simulated-rans", "massifs-rans", "mine"]),
    }
    for _, (models, datasets) in wind.fitting_jobs().items():
        for dataset in datasets:
            assert wind.fitted(dataset) == [*models, *wind.networks]
