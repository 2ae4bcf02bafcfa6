# What all studies share: the typed configuration, code as input, and the rules that make splits,
# scores and downloads for every study.
#
# REQUIRED INPUTS
#   results/{study}/{dataset}/prepared.parquet    made by each study's prepare rule
#   results/{study}/{dataset}/predictions/…       made by each study's fit rules
# OUTPUTS
#   data/raw/{dataset}/{file}                           verified download
#   results/{study}/{dataset}/splits/{scheme}.parquet   outer and inner folds
#   results/{study}/{dataset}/scores.csv                with comparisons, coverage and provenance

import json
import os
from pathlib import Path

import casestudies
from casestudies.config import job_seed, load
from casestudies.datasets import DATASETS
from casestudies.errors import InputError
from casestudies.sources import sources
from snakemake.exceptions import WorkflowError

try:
    CONFIG = load(config)
except InputError as error:
    raise WorkflowError(str(error)) from None

# A step must run the code that its inputs name, also where the package is not installed.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(Path(casestudies.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
).rstrip(os.pathsep)

STUDIES = {"glacier": CONFIG.glacier}
TARGETS = {"glacier": "mass_balance"}
TASKS = {"glacier": "regression"}

wildcard_constraints:
    study="|".join(STUDIES),
    dataset=r"[\w.-]+",
    scheme=r"\w+",
    model=r"\w+",


def code(module):
    """The package's files that a step's result depends on, relative so that a move reruns nothing."""
    return [os.path.relpath(path) for path in sources(module)]


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


rule fetch:
    input:
        code=code("datasets"),
    output:
        "data/raw/{published}/{file}",
    log:
        "logs/fetch/{published}/{file}.log",
    benchmark:
        "logs/fetch/{published}/{file}.tsv"
    wildcard_constraints:
        published="|".join(DATASETS),
        file=".+",
    conda:
        "../../envs/studies.yaml"
    threads: 1
    retries: 2
    resources:
        mem_mb=500,
        runtime=60,
        gpu=0,
    params:
        mirror=["--mirror", CONFIG.datasets.mirror] if CONFIG.datasets.mirror else [],
    message:
        "Fetch {wildcards.file} of {wildcards.published} and verify its checksum"
    shell:
        "python -m casestudies.datasets --dataset {wildcards.published}"
        " --file {wildcards.file:q} --output {output:q} {params.mirror:q} 2> {log:q}"


rule split:
    input:
        samples="results/{study}/{dataset}/prepared.parquet",
        code=code("evaluation.splits"),
    output:
        "results/{study}/{dataset}/splits/{scheme}.parquet",
    log:
        "logs/{study}/{dataset}/split_{scheme}.log",
    benchmark:
        "logs/{study}/{dataset}/split_{scheme}.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        target=lambda wildcards: TARGETS[wildcards.study],
        scheme=lambda wildcards: as_json(STUDIES[wildcards.study].schemes[wildcards.scheme]),
        seed=lambda wildcards: seed(
            wildcards.study, "split", wildcards.dataset, wildcards.scheme
        ),
    message:
        "Split {wildcards.dataset} by {wildcards.scheme}"
    shell:
        "python -m casestudies.evaluation.splits --samples {input.samples}"
        " --target {params.target} --scheme {params.scheme:q} --seed {params.seed}"
        " --output {output} 2> {log}"


def predictions(wildcards):
    """Out-of-fold predictions of every model of a study on every scheme."""
    study = STUDIES[wildcards.study]
    return [
        f"results/{wildcards.study}/{wildcards.dataset}/predictions/{scheme}/{model}.parquet"
        for scheme in study.schemes
        for model in study.predictors
    ]


rule score:
    input:
        samples="results/{study}/{dataset}/prepared.parquet",
        predictions=predictions,
        code=code("evaluation.scores"),
    output:
        scores="results/{study}/{dataset}/scores.csv",
        comparisons="results/{study}/{dataset}/comparisons.csv",
        coverage="results/{study}/{dataset}/coverage.csv",
        provenance="results/{study}/{dataset}/provenance.json",
    log:
        "logs/{study}/{dataset}/score.log",
    benchmark:
        "logs/{study}/{dataset}/score.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
        gpu=0,
    params:
        units=lambda wildcards: json.dumps(units(wildcards.study)),
        task=lambda wildcards: TASKS[wildcards.study],
        config=lambda wildcards: as_json(STUDIES[wildcards.study]),
        seed=lambda wildcards: seed(wildcards.study, "score", wildcards.dataset),
        resamples=CONFIG.scores.bootstrap,
        confidence=CONFIG.scores.confidence,
    message:
        "Score the predictions of {wildcards.dataset}, with intervals"
    shell:
        "python -m casestudies.evaluation.scores --samples {input.samples}"
        " --predictions {input.predictions} --units {params.units:q} --task {params.task}"
        " --resamples {params.resamples} --confidence {params.confidence} --seed {params.seed}"
        " --config {params.config:q} --scores {output.scores} --comparisons {output.comparisons}"
        " --coverages {output.coverage} --provenances {output.provenance} 2> {log}"
