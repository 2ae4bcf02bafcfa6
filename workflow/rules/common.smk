# What the rules of all studies use: the typed configuration, code as input, seeds.

import json
import os
import re
import shlex
import sys
from glob import glob
from pathlib import Path

# The package beside this file, if it is a checkout; else the installed one.
package_home = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parent
if package_home.is_dir():
    sys.path.insert(0, str(package_home))

import casestudies
from casestudies.config import load
from casestudies.config.lecture import EXPERIMENTS
from casestudies.config.satellite import ALL_IMAGES, SCENARIOS
from casestudies.datasets import DATASETS
from casestudies.errors import InputError
from casestudies.files import unwritable
from casestudies.headlines import headlines
from casestudies.seeds import job_seed
from casestudies.sources import sources
from snakemake.exceptions import WorkflowError

try:
    CONFIG = load(config)
except InputError as error:
    raise WorkflowError(str(error)) from None

# A step must run the code that its inputs name, also where the package is not installed.
shell.prefix(
    f"export PYTHONPATH={shlex.quote(str(Path(casestudies.__file__).parent.parent))}"
    "${{PYTHONPATH:+:$PYTHONPATH}}; "
)

STUDIES = CONFIG.studies
TARGETS = {name: section.target for name, section in STUDIES.items()}
TASKS = {name: section.task for name, section in STUDIES.items()}
TITLES = {name: section.title for name, section in STUDIES.items()}

SUFFIX = f"_{ALL_IMAGES}"
BULKY = [name for name, one in DATASETS.items() if len(one.files) > 20]


wildcard_constraints:
    study="|".join(STUDIES),
    dataset=r"[\w.-]+",
    scheme=r"\w+",
    model=r"\w+",


def code(module):
    """The package's files that a step's result depends on, relative so that a move reruns nothing."""
    return [os.path.relpath(path) for path in sources(module)]


def growing(first):
    """Memory or runtime that doubles with each further attempt, where the profile allows any."""
    return lambda wildcards, attempt: first * 2 ** (attempt - 1)


def seed(*names):
    """The seed of one job, named by its study, verb and wildcards."""
    return job_seed(CONFIG.seed, *names)


def as_json(section):
    """A section of the configuration as one line of JSON."""
    return json.dumps(section.model_dump(mode="json"), sort_keys=True)


def units(study):
    """For each scheme of a study the columns of its independent units."""
    return {name: scheme.units for name, scheme in STUDIES[study].schemes.items()}


def downloads(dataset):
    """The raw files of a published data set."""
    return [f"data/raw/{dataset}/{file.path}" for file in DATASETS[dataset].files]


def published():
    """The published data sets that the configured studies use."""
    wanted = {
        source
        for study in STUDIES.values()
        for name in study.datasets
        for source in study.sources(name)
    }
    if CONFIG.glacier.audit:
        wanted.add("alpgm")
    if CONFIG.wind.askervein:
        wanted.add("askervein")
    return sorted(wanted & set(DATASETS))


def within(study):
    """For some schemes the column of the groups in which metrics are computed, then averaged."""
    if TASKS[study] == "regression":
        return {}
    schemes = STUDIES[study].schemes.items()
    return {name: scheme.group for name, scheme in schemes if scheme.kind == "leave_one_group_out"}


def predictions(study, dataset):
    """Out-of-fold predictions of every model of a study on every scheme."""
    return [
        f"results/{study}/{dataset}/predictions/{scheme}/{model}.parquet"
        for scheme in STUDIES[study].schemes_of(dataset)
        for model in STUDIES[study].predictors(dataset, scheme)
    ]


def model_files(study, folder, models):
    """The tables that one job writes for several models, on a data set under a scheme."""
    return [f"results/{study}/{{dataset}}/{folder}/{{scheme}}/{name}.parquet" for name in models]


def model_seeds(study, wildcards, output):
    """The seeds of the models that one job fits, each named by its model as well."""
    names = [Path(path).stem for path in output.predictions]
    return [seed(study, "fit", wildcards.dataset, wildcards.scheme, name) for name in names]


def headlines_of_run():
    """What the studies that the targets of this run name have found; all by default."""
    targets = run_targets()
    everything = workflow.default_target in targets
    ran = {name: one.datasets for name, one in STUDIES.items() if everything or name in targets}
    return headlines(Path("results"), ran)


def mwas_truth(dataset):
    """The known truth of a data set of the MWAS study, if it is simulated."""
    return ["data/raw/simulated/mwas/truth.csv"] if dataset == "simulated" else []


def satellite_raw(dataset):
    """The raw files of a data set; of a user's own, prepare says what is missing."""
    if dataset in CONFIG.satellite.local:
        return sorted(glob(f"{CONFIG.satellite.folder(dataset)}/*"))
    if dataset in SCENARIOS:
        folder = CONFIG.satellite.folder(dataset)
        # Parameters and states, which are files, tell when the folders have changed.
        folders = [ancient(f"{folder}/{name}") for name in ("images.zarr", "soundings")]
        return [*folders, f"{folder}/states.csv", f"{folder}/parameters.json"]
    return [path for source in CONFIG.satellite.sources(dataset) for path in downloads(source)]


def satellite_files(folder, names, ending):
    """The files that one job writes for several models of a data set."""
    return [f"results/satellite/{{dataset}}/{folder}/{name}{ending}" for name in names]


def satellite_features(models, scheme):
    """The latents that models of a scheme rest on, in the order of the models."""
    scopes = {
        **{name: (scheme, name) for name in CONFIG.satellite.encoders},
        **{f"{name}{SUFFIX}": (ALL_IMAGES, name) for name in CONFIG.satellite.encoders},
    }
    return [
        path
        for scope, encoder in (scopes[name] for name in models if name in scopes)
        for path in satellite_files(f"features/{scope}", [encoder], ".parquet")
    ]


def satellite_encoded(dataset, part):
    """The latents, weights or losses of all encoders in all the scopes that figures show."""
    folder, ending = part
    return expand(
        "results/satellite/{dataset}/{folder}/{scope}/{encoder}{ending}",
        dataset=dataset,
        folder=folder,
        ending=ending,
        scope=[CONFIG.satellite.label_curves.scheme, ALL_IMAGES],
        encoder=CONFIG.satellite.encoders,
    )


def wind_terrains(dataset):
    """The terrains of a data set: random fields, or with tiles of elevation models."""
    if CONFIG.wind.sources(dataset) == ("simulated/wind",):
        return "data/raw/simulated/wind/terrains.nc"
    return f"results/wind/{dataset}/terrains.nc"


def wind_rasters(dataset):
    """The elevation models of a data set."""
    if dataset in CONFIG.wind.local:
        folder = Path(CONFIG.wind.local[dataset].path)
        return sorted(str(path) for path in folder.iterdir() if path.suffix in (".tif", ".tiff"))
    return downloads("dem")


def wind_flows(dataset):
    """The flows of the costly model: jobs and files for some terrains each if it is very costly."""
    solver = CONFIG.wind.solver(dataset)
    folder = f"results/wind/{dataset}/flows"
    if solver == "mass_consistent":
        return [f"{folder}/{solver}.nc"]
    sources = CONFIG.wind.sources(dataset)
    fields = CONFIG.wind.simulation.terrains if "simulated/wind" in sources else 0
    tiles = 0 if sources == ("simulated/wind",) else len(wind_rasters(dataset))
    count = fields + tiles * CONFIG.wind.tile.per_massif
    jobs = -(-count // CONFIG.wind.flows_per_job)
    return [f"{folder}/{solver}/{number}.nc" for number in range(jobs)]


def wind_cheap(dataset):
    """The flows of cheap models, that of corrected networks among them."""
    names = ["linear"]
    if CONFIG.wind.solver(dataset) == "openfoam":
        names.append("mass_consistent")
    return [f"results/wind/{dataset}/flows/{name}.nc" for name in names]


def wind_cheap_baselines(dataset):
    """The cheap flow models that are baselines of a data set."""
    fitted = CONFIG.wind.fitted(dataset)
    return [name for name in ("linear", "mass_consistent") if name in fitted]


def lecture_truth(dataset):
    """The known truth of a data set of the lecture study, if it is simulated."""
    return ["data/raw/simulated/lecture/truth.csv"] if dataset == "simulated" else []


def lecture_trained(run):
    """The tables whose steps may have trained a network: of the lecture's study, or of all."""
    tables = [f"results/lecture/{name}.parquet" for name in EXPERIMENTS]
    if run == "lecture":
        return tables
    for study, section in STUDIES.items():
        for dataset in section.datasets:
            tables += predictions(study, dataset)
    for dataset in CONFIG.satellite.datasets:
        for scheme in CONFIG.satellite.schemes_of(dataset):
            models = CONFIG.satellite.predictors(dataset, scheme)
            tables += expand(satellite_features(models, scheme), dataset=dataset)
    return sorted(set(tables))


def run_targets():
    """The targets of this run."""
    return sorted(workflow.dag_settings.targets) or [workflow.default_target]


def report_commands():
    """The commands that write the report of this run's targets, by its path; none if they are files."""
    targets = run_targets()
    if not all(workflow.is_rule(target) for target in targets):
        return {}
    settings = workflow.config_settings
    command = [sys.executable, "-m", "snakemake", *targets]
    command += ["--snakefile", str(workflow.main_snakefile)]
    command += ["--profile", "none", "--workflow-profile", "none", "--nolock", "--quiet", "all"]
    if settings.configfiles:
        command += ["--configfile", *map(str, settings.configfiles)]
    if settings.config:
        command += ["--config", *(f"{key}={json.dumps(v)}" for key, v in settings.config.items())]
    command += ["--reporter", "casestudies", "--report-casestudies-path"]
    paths = ["results/report.zip"]
    paths += ["results/report.html"] if "report_html" in targets else []
    return {path: [*command, path] for path in paths}


def report_environment():
    """The environment of these commands: Snakemake finds the reporter beside the package."""
    home = str(Path(casestudies.__file__).parent.parent)
    found = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(found)}


# Else Snakemake, which deletes old outputs first, would end in a traceback.
onstart:
    if refused := unwritable(
        path for job in workflow.dag.needrun_jobs() for path in job.output
    ):
        raise WorkflowError(str(refused))
