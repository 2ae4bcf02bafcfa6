"""Baselines: each against an independent computation."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge as Reference
from sklearn.preprocessing import StandardScaler

from casestudies.errors import InputError
from casestudies.wind.flow import log_profile
from casestudies.wind.flows import mirrored, speed
from casestudies.wind.models import NearestTerrains, Ridge, make_model
from tests.unit.wind.tiny import REJECTED, make_study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("models"))


def rows(study):
    usable = np.delete(np.arange(len(study.flows.names)), REJECTED)
    return usable[:16], usable[16:]


def test_the_log_law_is_the_inflow(study):
    train, test = rows(study)
    (flow,) = make_model("log_law", study.flows).predict(train, test, ["none"], 0)
    expected = [log_profile(10.0, z0) for z0 in study.flows.roughness[test]]
    np.testing.assert_allclose(flow[:, 0, 0, 0], expected, rtol=1e-6)
    assert not flow[:, 1:].any()


def test_a_cheap_model_is_its_own_prediction(study):
    train, test = rows(study)
    (flow,) = make_model("linear", study.flows).predict(train, test, ["none"], 0)
    np.testing.assert_array_equal(flow, study.flows.cheap["linear"][test][:, :, 0, 4:12, 4:12])


def test_ridge_is_that_of_scikit_learn(study):
    train, test = rows(study)
    penalties = [1.0, 1e-3]
    found = Ridge(study.flows).predict(train, test, penalties, 0)
    features = np.moveaxis(study.flows.features, 1, -1).astype(float)
    scaler = StandardScaler().fit(features[train].reshape(-1, features.shape[-1]))
    x, queries = (
        scaler.transform(features[k].reshape(-1, features.shape[-1])) for k in (train, test)
    )
    target = np.moveaxis(study.flows.scored[train], 1, -1).reshape(-1, 3)
    for penalty, flow in zip(penalties, found, strict=True):
        reference = Reference(alpha=penalty * len(x)).fit(x, target).predict(queries)
        np.testing.assert_allclose(np.moveaxis(flow, 1, -1).reshape(-1, 3), reference, atol=2e-4)


def test_the_nearest_terrain_may_be_a_mirror_image(study):
    train, _ = rows(study)
    flows = study.flows
    flipped = replace(flows, elevation=np.concatenate([flows.elevation, flows.elevation[:, ::-1]]))
    flipped = replace(flipped, target=np.concatenate([flows.target] * 2))
    model = NearestTerrains(flipped)
    query = np.array([train[3] + len(flows.names)])
    (flow,) = model.predict(train, query, [1], 0)
    np.testing.assert_array_equal(flow, mirrored(flows.scored[train[3:4]]))
    (own,) = model.predict(train, train[3:4], [1], 0)
    np.testing.assert_array_equal(own, flows.scored[train[3:4]])


@pytest.mark.parametrize("name", ["ridge", "gradient_boosting"])
def test_features_predict_better_than_the_inflow(study, name):
    train, test = rows(study)
    model = make_model(name, study.flows)
    (flow,) = model.predict(train, test, model.settings[-1:], 0)
    truth = speed(study.flows.scored[test])
    assert ((speed(flow) - truth) ** 2).mean() < 0.5 * ((1 - truth) ** 2).mean()


def test_trees_along_the_path_are_those_of_separate_fits(study):
    train, test = rows(study)
    model = make_model("gradient_boosting", study.flows)
    path = model.predict(train, test, model.settings, 5)
    for k, setting in enumerate(model.settings):
        np.testing.assert_array_equal(path[k], model.predict(train, test, [setting], 5)[0])


def test_an_unknown_model_is_named(study):
    with pytest.raises(InputError, match="did you mean 'ridge'"):
        make_model("rigde", study.flows)
