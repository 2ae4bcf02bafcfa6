# Disease from the abundances of species in the gut, by penalised logistic regression.
#
# REQUIRED INPUTS
#   data/raw/…   simulated here, fetched by rule fetch, or a user's own folder
# OUTPUTS, below results/mwas/
#   {dataset}/prepared.parquet                                   one row per sample
#   {dataset}/{predictions,inner,choices}/{scheme}/{model}.parquet   every model on every scheme
#   {dataset}/{transfer,permutations}.parquet                    from cohort to cohort; under chance
#   {dataset}/{stability,stability_path,coefficients,path}.parquet   what the models have learned
#   {dataset}/confounding.csv                                    what covariates explain
#   {dataset}/model.json                                         for new samples
#   {dataset}/{figures/…,explore.json}, figures/tasks.svg, finding.txt   for the report

from glob import glob

import casestudies.mwas as mwas_package

MWAS = CONFIG.mwas
MWAS_FILES = mwas_package.RAW_FILES
MWAS_FIGURES = [
    name
    for name, needed in mwas_package.FIGURES.items()
    if needed <= {*MWAS.schemes, *MWAS.models} and "lodo" not in needed
]
MWAS_WITHIN = next(name for name, scheme in MWAS.schemes.items() if "cohort" not in scheme.units)


rule mwas:
    """The MWAS study: scores, figures and finding of every configured data set."""
    input:
        "results/mwas/finding.txt",
        "results/mwas/figures/tasks.svg",
        expand("results/mwas/{dataset}/figures/scores.svg", dataset=MWAS.datasets),
        [
            f"results/mwas/{dataset}/{name}"
            for dataset in MWAS.datasets
            if MWAS.several_cohorts(dataset)
            for name in ("figures/transfer.svg", "explore.json")
        ],
        expand("results/mwas/{dataset}/model.json", dataset=MWAS.datasets),
    localrule: True


rule simulate_mwas:
    """Simulated raw data of the MWAS study."""
    input:
        code=code("mwas.simulate"),
    output:
        files=[f"data/raw/simulated/mwas/{name}" for name in MWAS_FILES["tables"]],
        truth="data/raw/simulated/mwas/truth.csv",
        parameters="data/raw/simulated/mwas/parameters.json",
    log:
        "logs/mwas/simulated/simulate.log",
    benchmark:
        "logs/mwas/simulated/simulate.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        simulation=MWAS.simulation,
        seed=seed("mwas", "simulate"),
    message:
        "Simulate {params.simulation.cohorts} cohorts of metagenomes"
    shell:
        "python -m casestudies.mwas.simulate --output data/raw/simulated/mwas"
        " --cohorts {params.simulation.cohorts} --samples {params.simulation.samples}"
        " --taxa {params.simulation.taxa} --associated {params.simulation.associated}"
        " --effect {params.simulation.effect} --confounded {params.simulation.confounded}"
        " --seed {params.seed} 2> {log}"


rule prepare_mwas:
    input:
        raw=lambda wildcards: (
            # A user's own tables may have any suffix; what is missing, prepare explains.
            sorted(glob(f"{MWAS.folder(wildcards.dataset)}/*.*"))
            if wildcards.dataset in MWAS.local
            else expand(
                "{folder}/{name}",
                folder=MWAS.folder(wildcards.dataset),
                name=MWAS_FILES[MWAS.reader(wildcards.dataset)],
            )
        ),
        code=code("mwas.prepare"),
    output:
        "results/mwas/{dataset}/prepared.parquet",
    log:
        "logs/mwas/{dataset}/prepare.log",
    benchmark:
        "logs/mwas/{dataset}/prepare.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        raw=lambda wildcards: MWAS.folder(wildcards.dataset),
        reader=lambda wildcards: MWAS.reader(wildcards.dataset),
        options=lambda wildcards: MWAS.prepare_options(wildcards.dataset),
    message:
        "Prepare {wildcards.dataset}: raw files to one table"
    shell:
        "python -m casestudies.mwas.prepare --raw {params.raw:q} --reader {params.reader}"
        " {params.options:q} --output {output} 2> {log}"


# All models in one job: most take less time than Python takes to start, and they share paths.
rule fit_mwas:
    input:
        prepared="results/mwas/{dataset}/prepared.parquet",
        splits="results/mwas/{dataset}/splits/{scheme}.parquet",
        code=code("mwas.fit"),
    output:
        predictions=[
            f"results/mwas/{{dataset}}/predictions/{{scheme}}/{name}.parquet"
            for name in MWAS.models
        ],
        inner=[f"results/mwas/{{dataset}}/inner/{{scheme}}/{name}.parquet" for name in MWAS.models],
        choices=[
            f"results/mwas/{{dataset}}/choices/{{scheme}}/{name}.parquet" for name in MWAS.models
        ],
    log:
        "logs/mwas/{dataset}/fit_{scheme}.log",
    benchmark:
        "logs/mwas/{dataset}/fit_{scheme}.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
        gpu=0,
    params:
        models=MWAS.models,
        predictions="results/mwas/{dataset}/predictions/{scheme}",
        inner="results/mwas/{dataset}/inner/{scheme}",
        choices="results/mwas/{dataset}/choices/{scheme}",
        seed=lambda wildcards: seed("mwas", "fit", wildcards.dataset, wildcards.scheme),
    message:
        "Fit the models of {wildcards.dataset} by {wildcards.scheme}"
    shell:
        "OMP_NUM_THREADS={threads} python -m casestudies.mwas.fit --prepared {input.prepared}"
        " --splits {input.splits} --models {params.models} --seed {params.seed}"
        " --output {params.predictions} --inner {params.inner} --choices {params.choices} 2> {log}"


rule combine_mwas:
    input:
        prepared="results/mwas/{dataset}/prepared.parquet",
        predictions=lambda wildcards: expand(
            "results/mwas/{dataset}/predictions/{scheme}/{model}.parquet",
            dataset=wildcards.dataset,
            scheme=wildcards.scheme,
            model=MWAS.linear,
        ),
        inner=lambda wildcards: expand(
            "results/mwas/{dataset}/inner/{scheme}/{model}.parquet",
            dataset=wildcards.dataset,
            scheme=wildcards.scheme,
            model=MWAS.linear,
        ),
        code=code("evaluation.combine"),
    output:
        predictions="results/mwas/{dataset}/predictions/{scheme}/{model}.parquet",
        inner="results/mwas/{dataset}/inner/{scheme}/{model}.parquet",
        weights="results/mwas/{dataset}/weights/{scheme}/{model}.parquet",
    log:
        "logs/mwas/{dataset}/combine_{scheme}_{model}.log",
    benchmark:
        "logs/mwas/{dataset}/combine_{scheme}_{model}.tsv"
    wildcard_constraints:
        model="linear",
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        simple=MWAS.one_transform,
        units=lambda wildcards: MWAS.schemes[wildcards.scheme].units,
    message:
        "Average the best linear models of {wildcards.dataset} by {wildcards.scheme}"
    shell:
        "python -m casestudies.evaluation.combine --samples {input.prepared}"
        " --predictions {input.predictions} --inner-predictions {input.inner} --method near_best"
        " --task classification --simple {params.simple} --units {params.units} --output {output.predictions}"
        " --inner {output.inner} --weights {output.weights} 2> {log}"


rule transfer_mwas:
    input:
        prepared="results/mwas/{dataset}/prepared.parquet",
        code=code("mwas.transfer"),
    output:
        "results/mwas/{dataset}/transfer.parquet",
    log:
        "logs/mwas/{dataset}/transfer.log",
    benchmark:
        "logs/mwas/{dataset}/transfer.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
        gpu=0,
    params:
        models=MWAS.transfer,
        confidence=CONFIG.scores.confidence,
        seed=lambda wildcards: seed("mwas", "transfer", wildcards.dataset),
    message:
        "Carry the models of {wildcards.dataset} from each cohort to the others"
    shell:
        "OMP_NUM_THREADS={threads} python -m casestudies.mwas.transfer --prepared {input.prepared}"
        " --models {params.models} --inner-folds 5 --confidence {params.confidence}"
        " --seed {params.seed} --output {output} 2> {log}"


rule permute_mwas:
    input:
        prepared="results/mwas/{dataset}/prepared.parquet",
        splits=lambda wildcards: (
            f"results/mwas/{wildcards.dataset}/splits/"
            f"{MWAS.schemes_of(wildcards.dataset)[-1]}.parquet"
        ),
        code=code("mwas.permute"),
    output:
        "results/mwas/{dataset}/permutations.parquet",
    log:
        "logs/mwas/{dataset}/permute.log",
    benchmark:
        "logs/mwas/{dataset}/permute.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 2
    resources:
        mem_mb=growing(3000),
        runtime=growing(60),
        gpu=0,
    params:
        scheme=lambda wildcards: MWAS.schemes_of(wildcards.dataset)[-1],
        permutations=MWAS.permutations,
        seed=lambda wildcards: seed("mwas", "permute", wildcards.dataset),
    message:
        "Permute the labels of {wildcards.dataset} {params.permutations} times"
    shell:
        "OMP_NUM_THREADS=1 python -m casestudies.mwas.permute --prepared {input.prepared}"
        " --splits {input.splits} --scheme {params.scheme} --model lasso_log"
        " --permutations {params.permutations} --threads {threads} --seed {params.seed}"
        " --output {output} 2> {log}"


rule explain_mwas:
    input:
        prepared="results/mwas/{dataset}/prepared.parquet",
        predictions=expand(
            "results/mwas/{{dataset}}/predictions/{scheme}/{model}.parquet",
            scheme=MWAS_WITHIN,
            model=MWAS.linear,
        ),
        inner=expand(
            "results/mwas/{{dataset}}/inner/{scheme}/{model}.parquet",
            scheme=MWAS_WITHIN,
            model=MWAS.linear,
        ),
        code=code("mwas.explain"),
    output:
        stability="results/mwas/{dataset}/stability.parquet",
        stability_path="results/mwas/{dataset}/stability_path.parquet",
        coefficients="results/mwas/{dataset}/coefficients.parquet",
        path="results/mwas/{dataset}/path.parquet",
        model="results/mwas/{dataset}/model.json",
    log:
        "logs/mwas/{dataset}/explain.log",
    benchmark:
        "logs/mwas/{dataset}/explain.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
        gpu=0,
    params:
        stability=MWAS.stability,
        bootstrap=MWAS.bootstrap,
        seed=lambda wildcards: seed("mwas", "explain", wildcards.dataset),
    message:
        "Ask the models of {wildcards.dataset} which taxa they use, and keep one for new samples"
    shell:
        "OMP_NUM_THREADS={threads} python -m casestudies.mwas.explain --prepared {input.prepared}"
        " --predictions {input.predictions} --inner {input.inner}"
        " --bootstrap {params.bootstrap} --pairs {params.stability.pairs}"
        " --threshold {params.stability.threshold}"
        " --expected-false {params.stability.expected_false} --seed {params.seed}"
        " --stability {output.stability} --stability-path {output.stability_path}"
        " --coefficients {output.coefficients} --path {output.path} --model {output.model} 2> {log}"


rule confound_mwas:
    input:
        prepared="results/mwas/{dataset}/prepared.parquet",
        splits=f"results/mwas/{{dataset}}/splits/{MWAS_WITHIN}.parquet",
        predictions=lambda wildcards: expand(
            "results/mwas/{dataset}/predictions/{scheme}/{model}.parquet",
            dataset=wildcards.dataset,
            scheme=MWAS_WITHIN,
            model=MWAS.predictors(wildcards.dataset, MWAS_WITHIN),
        ),
        code=code("mwas.confound"),
    output:
        report(
            "results/mwas/{dataset}/confounding.csv",
            caption="../report/mwas/confounding_table.rst",
            category="MWAS",
            subcategory="{dataset}",
            labels={"data set": "{dataset}", "figure": "table of confounding"},
        ),
    log:
        "logs/mwas/{dataset}/confound.log",
    benchmark:
        "logs/mwas/{dataset}/confound.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(20),
        gpu=0,
    params:
        caliper_age=MWAS.caliper_age,
        caliper_bmi=MWAS.caliper_bmi,
        confidence=CONFIG.scores.confidence,
        seed=lambda wildcards: seed("mwas", "confound", wildcards.dataset),
    message:
        "Ask what the covariates of {wildcards.dataset} explain"
    shell:
        "OMP_NUM_THREADS={threads} python -m casestudies.mwas.confound --prepared {input.prepared}"
        " --splits {input.splits} --predictions {input.predictions}"
        " --caliper-age {params.caliper_age} --caliper-bmi {params.caliper_bmi}"
        " --confidence {params.confidence} --seed {params.seed} --output {output} 2> {log}"


rule plot_mwas:
    input:
        prepared="results/mwas/{dataset}/prepared.parquet",
        scores="results/mwas/{dataset}/scores.csv",
        predictions=lambda wildcards: predictions("mwas", wildcards.dataset),
        permutations="results/mwas/{dataset}/permutations.parquet",
        stability="results/mwas/{dataset}/stability.parquet",
        stability_path="results/mwas/{dataset}/stability_path.parquet",
        coefficients="results/mwas/{dataset}/coefficients.parquet",
        path="results/mwas/{dataset}/path.parquet",
        confounding="results/mwas/{dataset}/confounding.csv",
        truth=lambda wildcards: mwas_truth(wildcards.dataset),
        code=code("mwas.plot"),
    output:
        [
            report(
                f"results/mwas/{{dataset}}/figures/{name}.svg",
                caption=f"../report/mwas/{name}.rst",
                category="MWAS",
                subcategory="{dataset}",
                labels={"data set": "{dataset}", "figure": name.replace("_", " ")},
            )
            for name in MWAS_FIGURES
        ],
    log:
        "logs/mwas/{dataset}/plot.log",
    benchmark:
        "logs/mwas/{dataset}/plot.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
        gpu=0,
    params:
        results=subpath(input.scores, parent=True),
        schemes=lambda wildcards: MWAS.schemes_of(wildcards.dataset),
        models=[*MWAS.models, "linear"],
        figures=MWAS_FIGURES,
        truth=lambda wildcards, input: ["--truth", *input.truth] if input.truth else [],
    message:
        "Draw the figures of {wildcards.dataset}"
    shell:
        "python -m casestudies.mwas.plot --results {params.results} --schemes {params.schemes}"
        " --models {params.models} --figures {params.figures} {params.truth}"
        " --output {params.results}/figures 2> {log}"


rule plot_transfer_mwas:
    input:
        prepared="results/mwas/{dataset}/prepared.parquet",
        transfer="results/mwas/{dataset}/transfer.parquet",
        code=code("mwas.plot"),
    output:
        report(
            "results/mwas/{dataset}/figures/transfer.svg",
            caption="../report/mwas/transfer.rst",
            category="MWAS",
            subcategory="{dataset}",
            labels={"data set": "{dataset}", "figure": "transfer"},
        ),
    log:
        "logs/mwas/{dataset}/plot_transfer.log",
    benchmark:
        "logs/mwas/{dataset}/plot_transfer.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        results=subpath(input.transfer, parent=True),
        models=MWAS.transfer,
    message:
        "Draw how models of {wildcards.dataset} carry from cohort to cohort"
    shell:
        "python -m casestudies.mwas.plot --results {params.results} --schemes lodo"
        " --models {params.models} --figures transfer --output {params.results}/figures 2> {log}"


rule compare_mwas:
    """The AUC of all models on all data sets of the MWAS study, in one figure."""
    input:
        scores=expand("results/mwas/{dataset}/scores.csv", dataset=MWAS.datasets),
        code=code("mwas.compare"),
    output:
        report(
            "results/mwas/figures/tasks.svg",
            caption="../report/mwas/tasks.rst",
            category="MWAS",
            labels={"data set": "all", "figure": "AUC of all models on all data sets"},
        ),
    log:
        "logs/mwas/compare.log",
    benchmark:
        "logs/mwas/compare.tsv"
    localrule: True
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    message:
        "Draw the scores of all data sets"
    shell:
        "python -m casestudies.mwas.compare --scores {input.scores} --output {output} 2> {log}"


rule summarise_mwas:
    """The findings of the MWAS study in words."""
    input:
        scores=expand("results/mwas/{dataset}/scores.csv", dataset=MWAS.datasets),
        comparisons=expand("results/mwas/{dataset}/comparisons.csv", dataset=MWAS.datasets),
        confounding=expand("results/mwas/{dataset}/confounding.csv", dataset=MWAS.datasets),
        permutations=expand("results/mwas/{dataset}/permutations.parquet", dataset=MWAS.datasets),
        stability=expand("results/mwas/{dataset}/stability.parquet", dataset=MWAS.datasets),
        truth=[path for dataset in MWAS.datasets for path in mwas_truth(dataset)],
        code=code("mwas.summarise"),
    output:
        report(
            "results/mwas/finding.txt",
            caption="../report/mwas/finding.rst",
            category="MWAS",
            labels={"data set": "all", "figure": "finding, in words"},
        ),
    log:
        "logs/mwas/summarise.log",
    benchmark:
        "logs/mwas/summarise.tsv"
    localrule: True
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        results=subpath(output[0], parent=True),
        datasets=MWAS.datasets,
        truth=lambda wildcards, input: ["--truth", *input.truth] if input.truth else [],
    message:
        "State the finding"
    shell:
        "python -m casestudies.mwas.summarise --results {params.results}"
        " --datasets {params.datasets} {params.truth} --output {output} 2> {log}"


rule explore_mwas:
    input:
        transfer="results/mwas/{dataset}/transfer.parquet",
        code=code("mwas.explore"),
    output:
        report(
            "results/mwas/{dataset}/explore.json",
            caption="../report/mwas/explore.rst",
            category="MWAS",
            subcategory="{dataset}",
            labels={"data set": "{dataset}", "figure": "matrix of cohorts to explore"},
        ),
    log:
        "logs/mwas/{dataset}/explore.log",
    benchmark:
        "logs/mwas/{dataset}/explore.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    message:
        "Collect what a reader of {wildcards.dataset} can point at"
    shell:
        "python -m casestudies.mwas.explore --transfer {input.transfer} --output {output} 2> {log}"
