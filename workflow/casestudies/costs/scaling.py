"""How large a step's work is: what of it grows, counted from its command and the configuration.

A step is known by its command line alone, so that what a plan announces and what was measured are
described by the same words. Work has parts that grow differently (an encoding fits some encoders in
closed form and trains others); each has one to three sizes, and its cost is measured by itself
(benchmarks/measure_costs.py). What is a plain repetition, such as folds times frames, is multiplied
here; how cost grows with a size is measured.
"""

import json
import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from casestudies.config import Config
from casestudies.config.satellite import SCENARIOS
from casestudies.errors import InputError

Sizes = dict[str, float]

PUBLISHED: dict[str, dict[str, Sizes]] = {
    "glacier": {
        "alpgm-corrected": {"rows": 1048, "glaciers": 32, "first": 1959, "last": 2015},
        "alpgm": {"rows": 1047, "glaciers": 32, "first": 1959, "last": 2015},
    },
    "mwas": {
        "pasolli2016-cirrhosis": {"samples": 232, "taxa": 542, "cohorts": 1},
        "pasolli2016-colorectal": {"samples": 121, "taxa": 503, "cohorts": 1},
        "pasolli2016-ibd": {"samples": 110, "taxa": 443, "cohorts": 1},
        "pasolli2016-obesity": {"samples": 253, "taxa": 465, "cohorts": 1},
        "pasolli2016-t2d": {"samples": 344, "taxa": 572, "cohorts": 2},
        "pasolli2016-wt2d": {"samples": 96, "taxa": 381, "cohorts": 1},
        "crc-cohorts": {"samples": 646, "taxa": 857, "cohorts": 7},
    },
    "satellite": {
        "melbourne-total-ozone": {"frames": 643, "values": 272, "labels": 299, "years": 10},
        "melbourne-upper-tropospheric-ozone": {
            "frames": 643,
            "values": 272,
            "labels": 305,
            "years": 10,
        },
        "edmonton-air-temperature": {"frames": 2920, "values": 1325, "labels": 105, "years": 2},
        "boulder-air-temperature": {"frames": 2920, "values": 1325, "labels": 105, "years": 2},
        "mauna-loa-ozone": {"frames": 2920, "values": 1325, "labels": 521, "years": 2},
    },
}
"""Sizes of the published data sets, as prepared: rows and samples are those with a target, taxa
include the columns that describe a sample, values are those of one image."""

_NAMES = {
    "evaluation.splits": "split",
    "evaluation.scores": "score",
    "datasets": "fetch",
    "lecture.regularisation": "regularise_lecture",
}
"""Steps that are not called as their modules are."""
_FORMS = 6  # of the RANS model whose costs are compared: itself and five cheaper ones
_BATCH_VALUES = 1 << 24  # of a training step of an autoencoder, as casestudies.satellite.networks
_CLOSED = 4  # a fit in closed form goes over its frames several times: about four encodings
_LEARNED = 3  # what a frame is learned from is standardised by, and its latent put in order
_HELD_VALUES = 1.25e8  # of the frames by which a training is followed, at most 256
_EVALUATIONS = 5  # along the training of the end-to-end network
_TRAINING = 3  # a gradient step costs about three passes: one forward, two backward


@dataclass(frozen=True)
class Command:
    """The command line of a step.

    Parameters
    ----------
    module
        Below the package, for example ``glacier.fit``.
    options
        Values of each option, by its name without dashes.
    text
        The options as they were written.
    """

    module: str
    options: Mapping[str, list[str]]
    text: str

    @classmethod
    def parse(cls, text: str) -> "Command":
        """Return the command of a shell line that runs a step.

        Raises
        ------
        InputError
            If the line runs no step of this package.
        """
        found = re.search(r"python -m casestudies\.([\w.]+)(.*)", text)
        if found is None:
            raise InputError(f"no step of casestudies is run by: {text}")
        line = re.sub(r"\s2> .*$", "", found[2])
        return cls(found[1], _options(shlex.split(line)), line)

    @classmethod
    def of(cls, module: str, arguments: list[str]) -> "Command":
        """Return the command that runs a module with arguments."""
        return cls(module, _options(arguments), shlex.join(arguments))

    @property
    def study(self) -> str | None:
        """The study, from the module or from the paths of what it reads or writes."""
        first = self.module.split(".")[0]
        if first in Config.model_fields:
            return first
        found = re.search(r"results/(\w+)/", self.text)
        return found[1] if found else None

    def dataset(self, config: Config) -> str | None:
        """Return the data set, from the paths of what is read or written; None if it is none."""
        section = getattr(config, self.study)
        known = {*section.built_in, *section.local, *PUBLISHED.get(self.study, {})}
        for name in re.findall(rf"results/{self.study}/([\w.-]+)", self.text):
            if name in known:
                return name
        return "simulated" if "data/raw/simulated/" in self.text else None

    @property
    def scheme(self) -> str | None:
        """The cross-validation scheme, from the path of its splits or of predictions."""
        found = re.search(r"/splits/(\w+)\.parquet|/predictions/(\w+)/", self.text)
        return (found[1] or found[2]) if found else None

    @property
    def step(self) -> str:
        """The name of the step, as in casestudies.costs."""
        if self.module in _NAMES:
            return _NAMES[self.module]
        if "." not in self.module:
            return self.module
        verb = self.module.split(".")[1]
        if self.value("figures") == "transfer" or self.value("solver") == "openfoam":
            return {"plot": "plot_transfer_mwas"}.get(verb, f"{verb}_{self.study}_openfoam")
        return f"{verb}_{self.study}"

    def value(self, name: str, default: str = "") -> str:
        """Return the first value of an option."""
        return (self.options.get(name) or [default])[0]

    def numbers(self, name: str) -> list[float]:
        """Return the values of an option as numbers."""
        return [float(value) for value in self.options.get(name, [])]


def _options(arguments: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    values: list[str] = []
    for argument in arguments:
        if re.match(r"--[a-z]", argument):
            values = found.setdefault(argument[2:], [])
        else:
            values.append(argument)
    return found


Part = tuple[str, Sizes]
"""Name of a part of a step's work, and its sizes; without sizes, it costs always the same."""


def parts(command: Command, config: Config) -> list[Part]:
    """Return the parts of a step's work.

    Raises
    ------
    InputError
        If the size of a data set is not known: one of a user's own.
    """
    step, study = command.step, command.study
    if study is None or "." not in command.module:
        return [(step, {})]
    name = f"{step}/{study}" if step in ("split", "score") else step
    if step == "train_lecture":
        name = f"{step}/{command.value('experiment')}"
    find = {"glacier": _glacier, "mwas": _mwas, "satellite": _satellite, "wind": _wind}.get(study)
    return [(name, {})] if find is None else find(name, command, config)


def rule_of(command: Command, config: Config) -> str:
    """Return the rule that runs a step: its name, or one of several that run it."""
    step, models = command.step, command.options.get("models")
    jobs: Mapping[str, Any] = {}
    match step:
        case "fit_glacier":
            jobs = config.glacier.fitting_jobs()
        case "fit_wind":
            jobs = config.wind.fitting_jobs()
        case "fit_satellite":
            jobs = config.satellite.fitting_jobs()
        case "curve_satellite":
            jobs = {job: (found, []) for job, found in config.satellite.curve_jobs().items()}
    for job, (found, where) in jobs.items():
        if found == models and (not where or {command.scheme, command.dataset(config)} & {*where}):
            return f"{step}_{job}"
    return step


def _size(study: str, dataset: str, config: Config) -> Sizes:
    """Return the sizes of a data set of a study."""
    section = getattr(config, study)
    published = PUBLISHED.get(study, {}).get(dataset)
    if published is not None:
        return published
    if dataset in section.local:
        raise InputError(
            f"{study}.local.{dataset}: the size of a data set of your own is not known to this "
            "table; run it on a part of the data and look at its own costs (--logs)."
        )
    plan = section.simulation
    if study == "glacier":
        dense = plan.last_year - max(plan.dense_from, plan.first_year) + 1
        rows = plan.glaciers * dense * plan.observed_fraction
        return {
            "rows": rows,
            "glaciers": plan.glaciers,
            "first": plan.first_year,
            "last": plan.last_year,
        }
    if study == "mwas":
        return {
            "samples": plan.cohorts * plan.samples,
            "taxa": plan.taxa,
            "cohorts": plan.cohorts,
        }
    hours = plan.hours[1] - plan.hours[0] + 1
    return {
        "frames": plan.days * hours,
        "values": 4 * plan.pixels**2,
        "labels": plan.days,
        "years": math.ceil(plan.days / 365),
    }


def outer_folds(scheme: Any, size: Sizes) -> float:
    """Return the number of outer folds of a scheme, over all its repeats."""
    match scheme.kind:
        case "leave_groups_out":
            return math.prod(scheme.parts)
        case "forward":
            return len(scheme.cuts)
        case "blocked":
            return scheme.blocks
        case "repeated_stratified_kfold":
            return scheme.folds * scheme.repeats
        case "random_kfold":
            return scheme.folds
    if scheme.group == "year" and "last" in size:
        return size["last"] - max(scheme.test_from or size["first"], size["first"]) + 1
    counted = {"year": "years", "massif": "massifs", "real": "reals"}
    return size[counted.get(scheme.group, f"{scheme.group}s")]


def _fits(scheme: Any, size: Sizes) -> float:
    """Return how often a model is fitted under a scheme, inner folds included."""
    return outer_folds(scheme, size) * (1 + scheme.inner_folds)


def _glacier(name: str, command: Command, config: Config) -> list[Part]:
    section = config.glacier
    size = _size("glacier", command.dataset(config), config)
    rows = size["rows"]
    scheme = section.schemes.get(command.scheme or "")
    match name:
        case "fit_glacier":
            return [(name, {"fits": _fits(scheme, size), "rows": rows})]
        case "train_glacier":
            model = command.value("model")
            settings = json.loads(command.value("settings", "{}"))
            known = scheme.units == ["glacier"]
            part = f"{name}/{'paper_network' if 'paper' in model else model}"
            if "steps" in settings:
                candidates = settings["known_year" if known else "new_year"]
                seen = len(candidates) * settings["members"] * settings["steps"]
                seen *= settings["batch"] * _fits(scheme, size)
            else:
                epochs = settings["known_year_epochs" if known else "new_year_epochs"]
                honest = model != "paper_protocol"
                fits = _fits(scheme, size) if honest else outer_folds(scheme, size)
                seen = epochs * rows * fits
            return [(part, {"row passes": seen})]
        case "audit_glacier":
            return [(name, {})]
    return [(name, {"rows": rows})]


def _mwas(name: str, command: Command, config: Config) -> list[Part]:
    section = config.mwas
    if name in ("compare_mwas", "summarise_mwas"):
        return [(name, {})]
    size = _size("mwas", command.dataset(config), config)
    cells = size["samples"] * size["taxa"]
    scheme = section.schemes.get(command.scheme or "")
    match name:
        case "fit_mwas":
            return [(name, {"fits": _fits(scheme, size), "cells": cells})]
        case "permute_mwas":
            fits = (float(command.value("permutations")) + 1) * _fits(scheme, size)
            return [(name, {"fits": fits, "cells": cells})]
        case "transfer_mwas":
            return [(name, {"fits": size["cohorts"] ** 2, "cells": cells})]
    return [(name, {"cells": cells})]


def _satellite(name: str, command: Command, config: Config) -> list[Part]:
    section = config.satellite
    if name == "simulate_satellite":
        (first, last), days = command.numbers("hours"), float(command.value("days"))
        values = 4 * float(command.value("pixels")) ** 2
        return [(name, {"values": values, "frames": days * (last - first + 1)})]
    if name == "compare_satellite":
        return [(name, {})]
    dataset = command.dataset(config)
    size = _size("satellite", dataset, config)
    values, frames, labels = size["values"], size["frames"], size["labels"]
    scheme = section.schemes.get(command.scheme or "")
    match name:
        case "prepare_satellite":
            kind = "simulated" if dataset in SCENARIOS else "read"
            return [(f"{name}/{kind}", {"values": values, "frames": frames})]
        case "encode_satellite":
            folds = outer_folds(scheme, size) if scheme else 1
            names = command.options["encoders"]
            settings = json.loads(command.value("settings", "{}"))
            networks = [one for one in names if "steps" in settings.get(one, {})]
            learned = frames * (1 - 1 / folds) if folds > 1 else frames
            found = []
            if closed := len(names) - len(networks):
                passes = closed * folds * (_CLOSED * learned + frames)
                found.append((f"{name}/closed form", {"values": values, "frame passes": passes}))
            if networks:
                seen = 0.0
                for one in (settings[network] for network in networks):
                    batch = max(1, min(one["batch"], _BATCH_VALUES // values))
                    held = min(learned / 10, 256, max(1.0, _HELD_VALUES / values))
                    seen += _TRAINING * one["steps"] * batch + min(20, one["steps"]) * held
                    seen += _LEARNED * learned + frames
                passes = folds * seen
                found.append((f"{name}/networks", {"values": values, "frame passes": passes}))
            return found
        case "train_satellite":
            passes = _fits(scheme, size) * _cnn_steps(command, labels)
            # Predicted along the training: all labels by a fold, and most by its inner folds.
            passes += 2 * outer_folds(scheme, size) * _EVALUATIONS * labels
            return [(name, {"values": values, "frame passes": passes})]
        case "fit_satellite":
            models = command.options["models"]
            if models == ["oracle"]:
                return [(f"{name}/oracle", {"labels": labels})]
            job = "leaking" if scheme.kind == "random_kfold" else "models"
            reads = _fits(scheme, size) * labels
            return [(f"{name}/{job}", {"values": values, "label reads": reads})]
        case "curve_satellite":
            models = command.options["models"]
            if models == ["oracle"]:
                return [(f"{name}/oracle", {"labels": labels})]
            drawn = [one for one in command.numbers("labels") if one <= labels]
            draws = outer_folds(scheme, size) * float(command.value("draws"))
            tested = labels / outer_folds(scheme, size)
            if models == ["cnn"]:
                # Two or so of the inner folds.
                fits = 1 + math.ceil(scheme.inner_folds / 2)
                passes = draws * sum(
                    fits * _cnn_steps(command, one) + _EVALUATIONS * (tested + 2 * one)
                    for one in drawn
                )
                return [(f"{name}/cnn", {"values": values, "frame passes": passes})]
            reads = draws * (1 + scheme.inner_folds) * sum(one + tested for one in drawn)
            return [(f"{name}/models", {"values": values, "label reads": reads})]
        case "overfit_satellite" | "save_satellite":
            return [(name, {"values": values, "labels": labels})]
        case "plot_satellite" | "explore_satellite":  # of some images, as many as fit a bound
            return [(name, {"values": values})]
    return [(name, {"labels": labels})]


def _cnn_steps(command: Command, labels: float) -> float:
    """Return the passes over a frame of one training of the end-to-end network."""
    settings = json.loads(command.value("settings"))
    return _TRAINING * settings["steps"] * min(settings["batch"], labels)


def _wind(name: str, command: Command, config: Config) -> list[Part]:
    section = config.wind
    tile = section.tile
    area = tile.cells**2
    inner = area * (1 - 2 * tile.fringe) ** 2
    if name == "simulate_wind":
        return [(name, {"cells": float(command.value("terrains")) * area})]
    if name in ("askervein_wind", "transect_wind", "validate_wind"):
        return [(name, {})]
    dataset = command.dataset(config)
    tiles = {"massifs", "massifs-rans"}
    terrains = section.simulation.terrains + (4 * tile.per_massif if dataset in tiles else 0)
    if dataset in section.local:
        raise InputError(
            f"wind.local.{dataset}: how many tiles your elevation models have is not known to this "
            "table; solve some flows and look at their own costs (--logs)."
        )
    size = {"massifs": 5.0, "reals": 1.0}
    scheme = section.schemes.get(command.scheme or "")
    cells = {"cells": terrains * area}
    match name:
        case "tile_wind":
            return [(name, {})]
        case "solve_wind_openfoam":
            left = terrains - float(command.value("number")) * float(command.value("per-job"))
            flows = max(0.0, min(float(command.value("per-job")), left))
            return [(name, {"flows": flows, "cells of a flow": area * section.openfoam.levels})]
        case "solve_wind":
            solver = command.value("solver")
            levels = section.mass_consistent.levels if solver == "mass_consistent" else 1
            return [(f"{name}/{solver}", {"cells": terrains * area * levels})]
        case "fit_wind":
            fits = _fits(scheme, size)
            return [(name, {"fits": fits, "cells": terrains * inner})]
        case "train_wind" | "learn_wind":
            model, settings = command.value("model"), json.loads(command.value("settings"))
            kind = model.removesuffix("_corrected")
            passes = settings["epochs"] * terrains * area
            if name == "learn_wind":
                sizes = [one for one in command.numbers("sizes") if one < terrains]
                passes *= 2 * (len(sizes) + 1)
            else:
                passes *= outer_folds(scheme, size) * scheme.inner_folds
            return [(f"{name}/{kind}", {"cell passes": passes})]
        case "cost_wind":
            solver = section.solver(dataset)
            levels = getattr(section, solver).levels
            flow = {"flows": float(section.cost_terrains), "cells of a flow": area * levels}
            if solver == "openfoam":  # nearly all of it is flows, as many as there are forms
                return [("solve_wind_openfoam", flow | {"flows": flow["flows"] * _FORMS})]
            return [(f"{name}/{solver}", {"cells": math.prod(flow.values())})]
    return [(name, cells)]
