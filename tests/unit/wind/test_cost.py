import numpy as np
import pytest

from casestudies.config.wind import MassConsistent, OpenFoam
from casestudies.wind.cost import CHEAPER, Sample, _cheaper, coarser, finer
from casestudies.wind.mass_consistent import parse_settings
from casestudies.wind.results import Predicted


def test_a_plane_survives_a_coarser_grid():
    x, y = np.meshgrid(np.arange(17.0), np.arange(13.0))
    nodes = 3 * x - 2 * y
    coarse = coarser(nodes, 4)
    assert coarse.shape == (4, 5) and coarse[1, 2] == nodes[4, 8]
    cells = (coarse[1:, 1:] + coarse[:-1, :-1]) / 2
    fine = finer(cells, 4)
    assert fine.shape == (12, 16)
    centre = 3 * (np.arange(16) + 0.5) - 2 * (np.arange(12)[:, None] + 0.5)
    inside = slice(2, -2), slice(2, -2)  # at the edge the outermost cell goes on
    assert fine[inside] == pytest.approx(centre[inside])


@pytest.mark.parametrize(
    ("solver", "settings"), [("mass_consistent", MassConsistent()), ("openfoam", OpenFoam())]
)
def test_cheaper_settings_are_settings(solver, settings):
    for _, factor, changes in CHEAPER[solver]:
        changed = _cheaper(settings.model_dump(), changes)
        type(settings).model_validate(changed)
        assert factor >= 1 and changed.get("levels", 0) <= settings.levels
    assert parse_settings(_cheaper({"levels": 16}, {"levels": 0.5})).levels == 8


def sample(names):
    nodes = np.zeros((len(names), 9, 9))
    return Sample(names, nodes, np.full(len(names), 0.1), 50.0, 10.0, (slice(2, 6), slice(2, 6)))


def test_errors_are_those_of_the_terrains_of_the_sample():
    names = np.array(["a", "b", "c"])
    observed = np.ones((3, 4))
    predicted = observed + np.array([[0.1], [0.2], [0.4]])
    found = Predicted(names, np.arange(4), observed, predicted, observed, observed)
    assert sample(["c", "a"]).errors(found) == pytest.approx([0.16, 0.01])
