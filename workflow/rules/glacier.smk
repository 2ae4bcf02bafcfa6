# Annual surface mass balance of glaciers from climate and topography.
#
# REQUIRED INPUTS
#   data/raw/{dataset}/…   simulated here, fetched by rule fetch, or a user's own folder
# OUTPUTS, below results/glacier/{dataset}/
#   prepared.parquet                                  one row per glacier and year
#   {predictions,inner,choices}/{scheme}/{model}.parquet   every model on every scheme
#   responses.parquet, importance.parquet             what the models have learned
#   figures/…, explore.json, finding.txt              for the report
#   (alpgm) audit.csv                                 the published scores, recomputed

from casestudies.glacier import EXPLAINED, FIGURES, RAW_FILES

GLACIER = CONFIG.glacier
GLACIER_FIGURES = [
    name
    for name, needed in FIGURES.items()
    if needed <= {*GLACIER.schemes, *GLACIER.models, *GLACIER.networks}
]


rule glacier:
    """The glacier study: scores, figures and finding of every configured data set."""
    input:
        expand("results/glacier/{dataset}/finding.txt", dataset=GLACIER.datasets),
        expand("results/glacier/{dataset}/figures/scores.svg", dataset=GLACIER.datasets),
        expand("results/glacier/{dataset}/explore.json", dataset=GLACIER.datasets),
        "results/glacier/alpgm/audit.csv" if GLACIER.audit else [],
    localrule: True


rule simulate_glacier:
    """Simulated raw data of the glacier study."""
    input:
        code=code("glacier.simulate"),
    output:
        files=[f"data/raw/simulated/glacier/{name}" for name in RAW_FILES["alpgm"]],
        truth="data/raw/simulated/glacier/truth.parquet",
        parameters="data/raw/simulated/glacier/parameters.json",
    log:
        "logs/glacier/simulated/simulate.log",
    benchmark:
        "logs/glacier/simulated/simulate.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        simulation=GLACIER.simulation,
        seed=seed("glacier", "simulate"),
    message:
        "Simulate {params.simulation.glaciers} glaciers"
    shell:
        "python -m casestudies.glacier.simulate --output data/raw/simulated/glacier"
        " --glaciers {params.simulation.glaciers}"
        " --first-year {params.simulation.first_year} --last-year {params.simulation.last_year}"
        " --dense-from {params.simulation.dense_from}"
        " --observed-fraction {params.simulation.observed_fraction}"
        " --observation-noise {params.simulation.observation_noise}"
        " --seed {params.seed} 2> {log}"


rule prepare_glacier:
    input:
        raw=lambda wildcards: [
            f"{GLACIER.folder(wildcards.dataset)}/{name}"
            for name in RAW_FILES[GLACIER.reader(wildcards.dataset)]
        ],
        code=code("glacier.prepare"),
    output:
        "results/glacier/{dataset}/prepared.parquet",
    log:
        "logs/glacier/{dataset}/prepare.log",
    benchmark:
        "logs/glacier/{dataset}/prepare.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        raw=lambda wildcards: GLACIER.folder(wildcards.dataset),
        reader=lambda wildcards: GLACIER.reader(wildcards.dataset),
        published=lambda wildcards: (
            ["--published", wildcards.dataset] if wildcards.dataset in DATASETS else []
        ),
    message:
        "Prepare {wildcards.dataset}: raw files to one table"
    shell:
        "python -m casestudies.glacier.prepare --raw {params.raw:q} --reader {params.reader}"
        " {params.published} --output {output} 2> {log}"


# All classical models in one job: most take less time than Python takes to start.
for job, (models, schemes) in GLACIER.fitting_jobs().items():

    rule:
        name:
            f"fit_glacier_{job}"
        input:
            prepared="results/glacier/{dataset}/prepared.parquet",
            splits="results/glacier/{dataset}/splits/{scheme}.parquet",
            code=code("glacier.fit"),
        output:
            predictions=model_files("glacier", "predictions", models),
            inner=model_files("glacier", "inner", models),
            choices=model_files("glacier", "choices", models),
        log:
            "logs/glacier/{dataset}/fit_{scheme}.log",
        benchmark:
            "logs/glacier/{dataset}/fit_{scheme}.tsv"
        wildcard_constraints:
            scheme="|".join(schemes),
        conda:
            "../../envs/studies.yaml"
        threads: 1
        resources:
            mem_mb=growing(2000),
            runtime=growing(60),
            gpu=0,
        params:
            models=models,
            seeds=lambda wildcards, output: model_seeds("glacier", wildcards, output),
            units=lambda wildcards: GLACIER.schemes[wildcards.scheme].units,
            coverage=CONFIG.scores.coverage,
            predictions=lambda wildcards, output: os.path.dirname(output.predictions[0]),
            inner=lambda wildcards, output: os.path.dirname(output.inner[0]),
            choices=lambda wildcards, output: os.path.dirname(output.choices[0]),
        message:
            "Fit the models of {wildcards.dataset} by {wildcards.scheme}"
        shell:
            "OMP_NUM_THREADS={threads} python -m casestudies.glacier.fit"
            " --prepared {input.prepared} --splits {input.splits} --models {params.models}"
            " --seeds {params.seeds} --units {params.units} --coverage {params.coverage}"
            " --output {params.predictions} --inner {params.inner} --choices {params.choices}"
            " 2> {log}"


rule train_glacier:
    input:
        prepared="results/glacier/{dataset}/prepared.parquet",
        splits="results/glacier/{dataset}/splits/{scheme}.parquet",
        code=code("glacier.train"),
    output:
        predictions="results/glacier/{dataset}/predictions/{scheme}/{model}.parquet",
        inner="results/glacier/{dataset}/inner/{scheme}/{model}.parquet",
        choices="results/glacier/{dataset}/choices/{scheme}/{model}.parquet",
        curves="results/glacier/{dataset}/curves/{scheme}/{model}.parquet",
    log:
        "logs/glacier/{dataset}/train_{scheme}_{model}.log",
    benchmark:
        "logs/glacier/{dataset}/train_{scheme}_{model}.tsv"
    wildcard_constraints:
        model="|".join(GLACIER.networks) or "none",
    conda:
        "../../envs/studies-gpu.yaml" if CONFIG.training.gpu else "../../envs/studies.yaml"
    threads: CONFIG.training.threads
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
        gpu=CONFIG.training.gpu,
    params:
        units=lambda wildcards: GLACIER.schemes[wildcards.scheme].units,
        coverage=CONFIG.scores.coverage,
        settings=lambda wildcards: as_json(GLACIER.settings(wildcards.model)),
        training=CONFIG.training,
        checkpoint=lambda wildcards, output: f"{output.predictions}.checkpoints",
        seed=lambda wildcards: seed(
            "glacier", "train", wildcards.dataset, wildcards.scheme, wildcards.model
        ),
    message:
        "Train {wildcards.model} on {wildcards.dataset} by {wildcards.scheme}"
    shell:
        "python -m casestudies.glacier.train --prepared {input.prepared} --splits {input.splits}"
        " --model {wildcards.model} --settings {params.settings:q}"
        " --units {params.units} --coverage {params.coverage} --seed {params.seed}"
        " --threads {threads} --device {params.training.device}"
        " --country {params.training.country} --checkpoint {params.checkpoint}"
        " --checkpoint-every {params.training.checkpoint_every} --output {output.predictions}"
        " --inner {output.inner} --choices {output.choices} --curves {output.curves} 2> {log}"


rule combine_glacier:
    input:
        prepared="results/glacier/{dataset}/prepared.parquet",
        predictions=lambda wildcards: expand(
            "results/glacier/{dataset}/predictions/{scheme}/{model}.parquet",
            dataset=wildcards.dataset,
            scheme=wildcards.scheme,
            model=GLACIER.honest(wildcards.scheme),
        ),
        inner=lambda wildcards: expand(
            "results/glacier/{dataset}/inner/{scheme}/{model}.parquet",
            dataset=wildcards.dataset,
            scheme=wildcards.scheme,
            model=GLACIER.honest(wildcards.scheme),
        ),
        code=code("glacier.combine"),
    output:
        predictions=model_files("glacier", "predictions", GLACIER.combinations),
        inner=model_files("glacier", "inner", GLACIER.combinations),
        weights=model_files("glacier", "weights", GLACIER.combinations),
    log:
        "logs/glacier/{dataset}/combine_{scheme}.log",
    benchmark:
        "logs/glacier/{dataset}/combine_{scheme}.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        methods=GLACIER.combinations,
        units=lambda wildcards: GLACIER.schemes[wildcards.scheme].units,
        coverage=CONFIG.scores.coverage,
        output=lambda wildcards, output: os.path.dirname(output.predictions[0]),
        inner=lambda wildcards, output: os.path.dirname(output.inner[0]),
        weights=lambda wildcards, output: os.path.dirname(output.weights[0]),
    message:
        "Combine the models of {wildcards.dataset} by {wildcards.scheme}"
    shell:
        "python -m casestudies.glacier.combine --samples {input.prepared}"
        " --predictions {input.predictions} --inner-predictions {input.inner}"
        " --methods {params.methods} --units {params.units} --coverage {params.coverage}"
        " --output {params.output} --inner {params.inner} --weights {params.weights} 2> {log}"


rule audit_glacier:
    """The published scores of the glacier study, recomputed from the authors' stored predictions."""
    input:
        prepared="results/glacier/alpgm/prepared.parquet",
        raw=downloads("alpgm"),
        code=code("glacier.audit"),
    output:
        report(
            "results/glacier/alpgm/audit.csv",
            caption="../report/glacier/audit.rst",
            category="Glacier",
            subcategory="alpgm",
            labels={"data set": "alpgm", "figure": "published scores, recomputed"},
        ),
    log:
        "logs/glacier/alpgm/audit.log",
    benchmark:
        "logs/glacier/alpgm/audit.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        resamples=CONFIG.scores.bootstrap,
        confidence=CONFIG.scores.confidence,
        seed=seed("glacier", "audit"),
    message:
        "Recompute the published scores from the authors' stored predictions"
    shell:
        "python -m casestudies.glacier.audit --prepared {input.prepared} --raw data/raw/alpgm"
        " --resamples {params.resamples} --confidence {params.confidence} --seed {params.seed}"
        " --output {output} 2> {log}"


rule explain_glacier:
    input:
        prepared="results/glacier/{dataset}/prepared.parquet",
        code=code("glacier.explain"),
    output:
        responses="results/glacier/{dataset}/responses.parquet",
        importance="results/glacier/{dataset}/importance.parquet",
    log:
        "logs/glacier/{dataset}/explain.log",
    benchmark:
        "logs/glacier/{dataset}/explain.tsv"
    conda:
        "../../envs/studies-gpu.yaml" if CONFIG.training.gpu else "../../envs/studies.yaml"
    threads: CONFIG.training.threads
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
        gpu=CONFIG.training.gpu,
    params:
        models=[name for name in EXPLAINED if name in {*GLACIER.models, *GLACIER.networks}],
        settings=json.dumps(
            {name: GLACIER.settings(name).model_dump(mode="json") for name in GLACIER.networks}
        ),
        training=CONFIG.training,
        seed=lambda wildcards: seed("glacier", "explain", wildcards.dataset),
    message:
        "Ask the models of {wildcards.dataset} what they have learned"
    shell:
        "python -m casestudies.glacier.explain --prepared {input.prepared}"
        " --models {params.models} --settings {params.settings:q} --seed {params.seed}"
        " --threads {threads} --device {params.training.device} --responses {output.responses}"
        " --importance {output.importance} 2> {log}"


rule plot_glacier:
    input:
        prepared="results/glacier/{dataset}/prepared.parquet",
        scores="results/glacier/{dataset}/scores.csv",
        coverage="results/glacier/{dataset}/coverage.csv",
        predictions=lambda wildcards: predictions("glacier", wildcards.dataset),
        responses="results/glacier/{dataset}/responses.parquet",
        importance="results/glacier/{dataset}/importance.parquet",
        curves=expand(
            "results/glacier/{{dataset}}/curves/{scheme}/{model}.parquet",
            scheme=GLACIER.schemes,
            model=GLACIER.networks,
        ),
        code=code("glacier.plot"),
    output:
        [
            report(
                f"results/glacier/{{dataset}}/figures/{name}.svg",
                caption=f"../report/glacier/{name}.rst",
                category="Glacier",
                subcategory="{dataset}",
                labels={"data set": "{dataset}", "figure": name.replace("_", " ")},
            )
            for name in GLACIER_FIGURES
        ],
    log:
        "logs/glacier/{dataset}/plot.log",
    benchmark:
        "logs/glacier/{dataset}/plot.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        results=subpath(input.scores, parent=True),
        schemes=list(GLACIER.schemes),
        models=[*GLACIER.models, *GLACIER.networks, "chosen", "stack"],
        figures=GLACIER_FIGURES,
    message:
        "Draw the figures of {wildcards.dataset}"
    shell:
        "python -m casestudies.glacier.plot --results {params.results} --schemes {params.schemes}"
        " --models {params.models} --figures {params.figures} --output {params.results}/figures"
        " 2> {log}"


rule summarise_glacier:
    input:
        scores="results/glacier/{dataset}/scores.csv",
        comparisons="results/glacier/{dataset}/comparisons.csv",
        code=code("glacier.summarise"),
    output:
        report(
            "results/glacier/{dataset}/finding.txt",
            caption="../report/glacier/finding.rst",
            category="Glacier",
            subcategory="{dataset}",
            labels={"data set": "{dataset}", "figure": "finding, in words"},
        ),
    log:
        "logs/glacier/{dataset}/summarise.log",
    benchmark:
        "logs/glacier/{dataset}/summarise.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    message:
        "State the finding on {wildcards.dataset}"
    shell:
        "python -m casestudies.glacier.summarise --scores {input.scores}"
        " --comparisons {input.comparisons} --output {output} 2> {log}"


rule explore_glacier:
    input:
        prepared="results/glacier/{dataset}/prepared.parquet",
        predictions=lambda wildcards: predictions("glacier", wildcards.dataset),
        code=code("glacier.explore"),
    output:
        report(
            "results/glacier/{dataset}/explore.json",
            caption="../report/glacier/explore.rst",
            category="Glacier",
            subcategory="{dataset}",
            labels={"data set": "{dataset}", "figure": "map to explore"},
        ),
    log:
        "logs/glacier/{dataset}/explore.log",
    benchmark:
        "logs/glacier/{dataset}/explore.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
        gpu=0,
    params:
        results=subpath(input.prepared, parent=True),
        schemes=list(GLACIER.schemes),
        models=[*GLACIER.models, *GLACIER.networks, "chosen", "stack"],
    message:
        "Collect what a reader of {wildcards.dataset} can point at"
    shell:
        "python -m casestudies.glacier.explore --results {params.results}"
        " --schemes {params.schemes} --models {params.models} --output {output} 2> {log}"
