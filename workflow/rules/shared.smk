# The rules that serve every study: downloads, splits, scores.
#
# REQUIRED INPUTS
#   results/{study}/{dataset}/prepared.parquet    made by each study's prepare rule
#   results/{study}/{dataset}/predictions/…       made by each study's fit rules
# OUTPUTS
#   data/raw/{dataset}/{file}                           verified download
#   results/{study}/{dataset}/splits/{scheme}.parquet   outer and inner folds
#   results/{study}/{dataset}/scores.csv                with comparisons, coverage and provenance


rule download:
    """All published files of the configured data sets, for machines that are offline later."""
    input:
        [path for dataset in published() for path in downloads(dataset)],
    localrule: True


# The code is no input here: the checksum decides the result, and a file that was put there by hand
# must not be deleted for being older than the code.
rule fetch:
    output:
        ensure(
            "data/raw/{published}/{file}",
            sha256=lambda wildcards: DATASETS[wildcards.published].file(wildcards.file).sha256,
        ),
    log:
        "logs/fetch/{published}/{file}.log",
    benchmark:
        "logs/fetch/{published}/{file}.tsv"
    wildcard_constraints:
        published="|".join(name for name in DATASETS if name not in BULKY),
        file=".+",
    retries: 1
    localrule: True
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(60),
        gpu=0,
    params:
        mirror=["--mirror", CONFIG.datasets.mirror] if CONFIG.datasets.mirror else [],
    message:
        "Fetch {wildcards.file} of {wildcards.published} and verify its checksum"
    shell:
        "python -m casestudies.datasets --dataset {wildcards.published}"
        " --file {wildcards.file:q} --output {output:q} {params.mirror:q} 2> {log:q}"


# One job for each data set of very many files: a job a file would be most of the plan.
for name in BULKY:

    rule:
        """A published data set of very many files, verified."""
        name:
            f"fetch_{name}"
        output:
            [
                ensure(f"data/raw/{name}/{file.path}", sha256=file.sha256)
                for file in DATASETS[name].files
            ],
        log:
            f"logs/fetch/{name}.log",
        benchmark:
            f"logs/fetch/{name}.tsv"
        retries: 1
        localrule: True
        conda:
            "../../envs/studies.yaml"
        threads: 1
        resources:
            mem_mb=growing(1000),
            runtime=growing(120),
            gpu=0,
        params:
            dataset=name,
            mirror=["--mirror", CONFIG.datasets.mirror] if CONFIG.datasets.mirror else [],
        message:
            "Fetch {params.dataset} and verify its checksums"
        shell:
            "python -m casestudies.datasets --dataset {params.dataset}"
            " --output data/raw/{params.dataset} {params.mirror:q} 2> {log:q}"


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
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        target=lambda wildcards: TARGETS[wildcards.study],
        scheme=lambda wildcards: as_json(STUDIES[wildcards.study].schemes[wildcards.scheme]),
        seed=lambda wildcards: seed(wildcards.study, "split", wildcards.dataset, wildcards.scheme),
    message:
        "Split {wildcards.dataset} by {wildcards.scheme}"
    shell:
        "python -m casestudies.evaluation.splits --samples {input.samples}"
        " --target {params.target} --scheme {params.scheme:q} --seed {params.seed}"
        " --output {output} 2> {log}"


rule score:
    input:
        samples="results/{study}/{dataset}/prepared.parquet",
        predictions=lambda wildcards: predictions(wildcards.study, wildcards.dataset),
        code=code("evaluation.scores"),
    output:
        scores=report(
            "results/{study}/{dataset}/scores.csv",
            caption="../report/scores.rst",
            category=lambda wildcards: TITLES[wildcards.study],
            subcategory="{dataset}",
            labels={"data set": "{dataset}", "figure": "table of scores"},
        ),
        comparisons=report(
            "results/{study}/{dataset}/comparisons.csv",
            caption="../report/comparisons.rst",
            category=lambda wildcards: TITLES[wildcards.study],
            subcategory="{dataset}",
            labels={"data set": "{dataset}", "figure": "table of paired differences"},
        ),
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
        mem_mb=growing(2000),
        runtime=growing(30),
        gpu=0,
    params:
        units=lambda wildcards: json.dumps(units(wildcards.study)),
        within=lambda wildcards: json.dumps(within(wildcards.study)),
        task=lambda wildcards: TASKS[wildcards.study],
        config=lambda wildcards: as_json(STUDIES[wildcards.study]),
        seed=lambda wildcards: seed(wildcards.study, "score", wildcards.dataset),
        resamples=CONFIG.scores.bootstrap,
        confidence=CONFIG.scores.confidence,
    message:
        "Score the predictions of {wildcards.dataset}, with intervals"
    shell:
        "python -m casestudies.evaluation.scores --samples {input.samples}"
        " --predictions {input.predictions} --units {params.units:q} --within {params.within:q} --task {params.task}"
        " --resamples {params.resamples} --confidence {params.confidence} --seed {params.seed}"
        " --config {params.config:q} --scores {output.scores} --comparisons {output.comparisons}"
        " --coverages {output.coverage} --provenances {output.provenance} 2> {log}"
