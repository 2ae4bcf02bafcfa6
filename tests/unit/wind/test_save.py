"""The surrogate that is kept: choice, contents, reading, and refusal of what is no surrogate."""

import json

import pandas as pd
import pytest

from casestudies.errors import InputError
from casestudies.tables import write_table
from casestudies.wind.save import MODEL, NETWORKS, read_surrogate, save
from tests.unit.wind.tiny import SETTINGS, make_study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("save"))


def run(study, folder, errors, **changes):
    """Save, with out-of-fold predictions of given errors by network, and of their choice, 0.2."""
    paths = []
    for name, error in [*errors.items(), ("surrogate", 0.2)]:
        paths.append(folder / f"{name}.parquet")
        write_table(
            pd.DataFrame({"observed": [1.0, 1.2], "predicted": [1.0 + error, 1.2 + error]}),
            paths[-1],
        )
    given = {
        **study.given,
        "predictions": paths[:-1],
        "chosen": paths[-1],
        "settings": json.dumps({name: json.loads(SETTINGS) for name in errors}),
        "units": ["sample"],
        "device": "cpu",
        "checkpoint": folder / "checkpoints",
        "output": folder / "model",
        **changes,
    }
    save(**given)
    return folder / "model"


@pytest.fixture(scope="module")
def saved(study, tmp_path_factory):
    return run(study, tmp_path_factory.mktemp("saved"), {"unet": 0.5, "unet_corrected": 0.1})


def test_the_best_network_is_kept_with_what_it_learned_from(study, saved):
    about = json.loads((saved / MODEL).read_text())
    usable = study.samples[study.samples["speed"].notna()]
    assert about["network"] == "unet_corrected"
    assert about["cheap"] == "linear"
    assert about["networks"] == len(study.folds)
    assert about["terrains"] == len(usable)
    assert about["solver"] == "mass_consistent"
    assert about["slope_p95"] == usable["slope_p95"].max()
    assert about["roughness"] == [usable["roughness"].min(), usable["roughness"].max()]
    assert about["rmse"] == pytest.approx(0.2)  # not 0.1, by which it was chosen
    assert 0 < about["half_width"] < 0.2
    assert not (saved.parent / "checkpoints").exists()


def test_the_surrogate_predicts_better_than_the_cheap_flow(study, saved):
    surrogate = read_surrogate(saved)
    rows = study.folds[0].test
    flow, spread = surrogate.predict(study.flows.elevation[rows], study.flows.roughness[rows])
    truth, cheap = study.flows.target[rows], study.flows.cheap["linear"][rows][..., 4:12, 4:12]
    assert flow.shape == truth.shape
    assert spread.shape == truth[:, 0].shape
    assert (spread > 0).all()
    assert ((flow - truth) ** 2).mean() < 0.75 * ((cheap - truth) ** 2).mean()


def test_a_folder_that_is_no_surrogate_is_refused(saved, tmp_path):
    with pytest.raises(InputError, match=r"no such file; give the folder"):
        read_surrogate(tmp_path)
    content = json.loads((saved / MODEL).read_text())
    weights = (saved / NETWORKS).read_bytes()
    changes = {
        "not a model of the wind study": {"study": "satellite"},
        "format is 2": {"format": 2},
        "grid.spacing": {"grid": content["grid"] | {"spacing": -1}},
        "is unknown": {"network": "other"},
        "is damaged": {"sha256": "0" * 64},
    }
    for number, (message, change) in enumerate(changes.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / MODEL).write_text(json.dumps(content | change))
        (folder / NETWORKS).write_bytes(weights)
        with pytest.raises(InputError, match=message):
            read_surrogate(folder)
    (folder / NETWORKS).unlink()
    (folder / MODEL).write_text(json.dumps(content))
    with pytest.raises(InputError, match="no such file"):
        read_surrogate(folder)


def test_an_unknown_network_is_refused(study, tmp_path):
    with pytest.raises(InputError, match="did you mean 'fno'"):
        run(study, tmp_path, {"fnoo": 0.1})
    assert not (tmp_path / "model").exists()
