# The argument that the lecture builds before its applications, figure by figure.
#
# REQUIRED INPUTS
#   data/raw/…   simulated here, or a user's own folder with measurements.csv
# OUTPUTS, below results/lecture/
#   {dataset}/prepared.parquet                        one row per measurement
#   {dataset}/predictions/{scheme}/{model}.parquet    every model, out of fold
#   {dataset}/errors/{scheme}.parquet                 errors of every fold along every fit
#   {dataset}/{curves,extrapolation}.parquet          where nobody measured
#   {dataset}/figures/…                               for the report
#   bias_variance.parquet                             polynomials on redrawn measurements
#   descents.parquet, paths.parquet                   who escapes from a saddle
#   {variance,starts,approximation}.parquet           networks
#   regularisation.csv                                four points and a cubic
#   cost_{run}.csv                                    what training has cost
#   figures/…, finding.txt                            for the report

import casestudies.lecture as lecture_package

LECTURE = CONFIG.lecture
LECTURE_SCHEME = next(iter(LECTURE.schemes))


rule lecture:
    """The lecture's own argument: overfitting, optimisation, networks, regularisation, costs."""
    input:
        "results/lecture/finding.txt",
        expand("results/lecture/{dataset}/scores.csv", dataset=LECTURE.datasets),
        expand("results/lecture/{dataset}/figures/fits.svg", dataset=LECTURE.datasets),
        "results/lecture/figures/networks.svg",
        "results/lecture/figures/cost_lecture.svg",
        "results/lecture/figures/regularisation.svg",
    localrule: True


rule regularisation:
    """The lecture's example: four points, a polynomial, and what a penalty does to it."""
    input:
        "results/lecture/figures/regularisation.svg",
    localrule: True


rule regularise_lecture:
    """The figure and table of the target regularisation."""
    input:
        code=code("lecture.regularisation"),
    output:
        figure=report(
            "results/lecture/figures/regularisation.svg",
            caption="../report/lecture/regularisation.rst",
            category="Lecture",
            labels={"data set": "experiments", "figure": "regularisation"},
        ),
        table="results/lecture/regularisation.csv",
    log:
        "logs/lecture/regularise.log",
    benchmark:
        "logs/lecture/regularise.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        seed=seed("lecture", "regularise"),
    message:
        "Draw the lecture's example of regularisation"
    shell:
        "python -m casestudies.lecture.regularisation --seed {params.seed} --figure {output.figure}"
        " --table {output.table} 2> {log}"


rule simulate_lecture:
    """Simulated measurements of the lecture study."""
    input:
        code=code("lecture.simulate"),
    output:
        measurements=f"data/raw/simulated/lecture/{lecture_package.RAW_FILE}",
        truth="data/raw/simulated/lecture/truth.csv",
        parameters="data/raw/simulated/lecture/parameters.json",
    log:
        "logs/lecture/simulated/simulate.log",
    benchmark:
        "logs/lecture/simulated/simulate.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        folder=subpath(output.measurements, parent=True),
        settings=as_json(LECTURE.simulation),
        until=LECTURE.predict_at,
        seed=seed("lecture", "simulate"),
    message:
        "Simulate measurements of a car's consumption"
    shell:
        "python -m casestudies.lecture.simulate --settings {params.settings:q}"
        " --until {params.until} --seed {params.seed} --output {params.folder} 2> {log}"


rule prepare_lecture:
    input:
        raw=lambda wildcards: f"{LECTURE.folder(wildcards.dataset)}/{lecture_package.RAW_FILE}",
        code=code("lecture.prepare"),
    output:
        "results/lecture/{dataset}/prepared.parquet",
    log:
        "logs/lecture/{dataset}/prepare.log",
    benchmark:
        "logs/lecture/{dataset}/prepare.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        raw=lambda wildcards: LECTURE.folder(wildcards.dataset),
    message:
        "Prepare {wildcards.dataset}: check the measurements"
    shell:
        "python -m casestudies.lecture.prepare --raw {params.raw:q} --output {output} 2> {log}"


# All models in one job: each takes less than Python takes to start.
rule fit_lecture:
    input:
        prepared="results/lecture/{dataset}/prepared.parquet",
        splits="results/lecture/{dataset}/splits/{scheme}.parquet",
        code=code("lecture.fit"),
    output:
        predictions=[
            f"results/lecture/{{dataset}}/predictions/{{scheme}}/{model}.parquet"
            for model in LECTURE.models
        ],
        errors="results/lecture/{dataset}/errors/{scheme}.parquet",
    log:
        "logs/lecture/{dataset}/fit_{scheme}.log",
    benchmark:
        "logs/lecture/{dataset}/fit_{scheme}.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        results=subpath(output.errors, ancestor=2),
        models=LECTURE.models,
        settings=as_json(LECTURE.descent),
        units=lambda wildcards: LECTURE.schemes[wildcards.scheme].units,
        coverage=CONFIG.scores.coverage,
        seed=lambda wildcards: seed("lecture", "fit", wildcards.dataset, wildcards.scheme),
    message:
        "Fit polynomials to {wildcards.dataset} by {wildcards.scheme}"
    shell:
        "OMP_NUM_THREADS={threads} python -m casestudies.lecture.fit --prepared {input.prepared}"
        " --splits {input.splits} --models {params.models} --settings {params.settings:q}"
        " --units {params.units} --coverage {params.coverage} --seed {params.seed}"
        " --output {params.results}/predictions/{wildcards.scheme} --errors {output.errors}"
        " 2> {log}"


rule extrapolate_lecture:
    input:
        prepared="results/lecture/{dataset}/prepared.parquet",
        code=code("lecture.extrapolate"),
    output:
        curves="results/lecture/{dataset}/curves.parquet",
        points="results/lecture/{dataset}/extrapolation.parquet",
    log:
        "logs/lecture/{dataset}/extrapolate.log",
    benchmark:
        "logs/lecture/{dataset}/extrapolate.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        models=LECTURE.models,
        settings=as_json(LECTURE.descent),
        predict_at=LECTURE.predict_at,
        bootstrap=LECTURE.bootstrap,
        confidence=CONFIG.scores.confidence,
        seed=lambda wildcards: seed("lecture", "extrapolate", wildcards.dataset),
    message:
        "Predict the consumption of {wildcards.dataset} at {params.predict_at} km/h"
    shell:
        "OMP_NUM_THREADS={threads} python -m casestudies.lecture.extrapolate"
        " --prepared {input.prepared} --models {params.models} --settings {params.settings:q}"
        " --predict-at {params.predict_at} --bootstrap {params.bootstrap}"
        " --confidence {params.confidence} --seed {params.seed} --curves {output.curves}"
        " --output {output.points} 2> {log}"


rule redraw_lecture:
    """Bias and variance of polynomials on redrawn measurements, for the lecture."""
    input:
        code=code("lecture.redraw"),
    output:
        "results/lecture/bias_variance.parquet",
    log:
        "logs/lecture/redraw.log",
    benchmark:
        "logs/lecture/redraw.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
        gpu=0,
    params:
        simulation=as_json(LECTURE.simulation),
        settings=as_json(LECTURE.redraw),
        few=LECTURE.variance.measurements,
        confidence=CONFIG.scores.confidence,
        seed=seed("lecture", "redraw"),
    message:
        "Measure bias and variance of polynomials"
    shell:
        "OMP_NUM_THREADS={threads} python -m casestudies.lecture.redraw"
        " --simulation {params.simulation:q} --settings {params.settings:q} --few {params.few}"
        " --confidence {params.confidence} --seed {params.seed} --output {output} 2> {log}"


rule optimise_lecture:
    """Who escapes from a saddle and a local minimum, for the lecture."""
    input:
        code=code("lecture.optimise"),
    output:
        paths="results/lecture/paths.parquet",
        ends="results/lecture/descents.parquet",
    log:
        "logs/lecture/optimise.log",
    benchmark:
        "logs/lecture/optimise.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        settings=as_json(LECTURE.landscape),
        seed=seed("lecture", "optimise"),
    message:
        "Descend from many starts"
    shell:
        "OMP_NUM_THREADS={threads} python -m casestudies.lecture.optimise"
        " --settings {params.settings:q} --seed {params.seed} --paths {output.paths}"
        " --output {output.ends} 2> {log}"


rule train_lecture:
    input:
        code=code("lecture.train"),
    output:
        "results/lecture/{experiment}.parquet",
    log:
        "logs/lecture/train_{experiment}.log",
    benchmark:
        "logs/lecture/train_{experiment}.tsv"
    wildcard_constraints:
        experiment="|".join(EXPERIMENTS),
    conda:
        "../../envs/studies-gpu.yaml" if CONFIG.training.gpu else "../../envs/studies.yaml"
    threads: CONFIG.training.threads
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
        gpu=CONFIG.training.gpu,
    params:
        settings=lambda wildcards: as_json(getattr(LECTURE, wildcards.experiment)),
        simulation=as_json(LECTURE.simulation),
        confidence=CONFIG.scores.confidence,
        training=CONFIG.training,
        checkpoint=lambda wildcards, output: f"{output[0]}.checkpoints",
        seed=lambda wildcards: seed("lecture", "train", wildcards.experiment),
    message:
        "Train the networks of the experiment {wildcards.experiment}"
    shell:
        "OMP_NUM_THREADS={threads} python -m casestudies.lecture.train"
        " --experiment {wildcards.experiment} --settings {params.settings:q}"
        " --simulation {params.simulation:q} --confidence {params.confidence}"
        " --seed {params.seed} --threads {threads} --device {params.training.device}"
        " --country {params.training.country} --checkpoint {params.checkpoint}"
        " --checkpoint-every {params.training.checkpoint_every} --output {output} 2> {log}"


rule cost_lecture:
    input:
        tables=lambda wildcards: lecture_trained(wildcards.run),
        code=code("lecture.cost"),
    output:
        table=report(
            "results/lecture/cost_{run}.csv",
            caption="../report/lecture/cost.rst",
            category="Lecture",
            labels={"data set": "experiments", "figure": "table of costs, {run}"},
        ),
        figure=report(
            "results/lecture/figures/cost_{run}.svg",
            caption="../report/lecture/cost.rst",
            category="Lecture",
            labels={"data set": "experiments", "figure": "cost of training, {run}"},
        ),
    log:
        "logs/lecture/cost_{run}.log",
    benchmark:
        "logs/lecture/cost_{run}.tsv"
    wildcard_constraints:
        run="lecture|all",
    localrule: True
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    message:
        "Sum up what training has cost: {wildcards.run}"
    shell:
        "python -m casestudies.lecture.cost --tables {input.tables} --results results"
        " --output {output.table} --figure {output.figure} 2> {log}"


rule summarise_lecture:
    """The findings of the lecture study in words."""
    input:
        tables=expand(
            "results/lecture/{name}.parquet", name=["bias_variance", "descents", *EXPERIMENTS]
        ),
        regularisation="results/lecture/regularisation.csv",
        errors=expand(
            "results/lecture/{dataset}/errors/{scheme}.parquet",
            dataset=LECTURE.datasets,
            scheme=LECTURE_SCHEME,
        ),
        points=expand("results/lecture/{dataset}/extrapolation.parquet", dataset=LECTURE.datasets),
        truth=[path for dataset in LECTURE.datasets for path in lecture_truth(dataset)],
        code=code("lecture.summarise"),
    output:
        report(
            "results/lecture/finding.txt",
            caption="../report/lecture/finding.rst",
            category="Lecture",
            labels={"data set": "all", "figure": "finding, in words"},
        ),
    log:
        "logs/lecture/summarise.log",
    benchmark:
        "logs/lecture/summarise.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        results=subpath(output[0], parent=True),
        datasets=LECTURE.datasets,
        scheme=LECTURE_SCHEME,
        confidence=CONFIG.scores.confidence,
        truth=lambda wildcards, input: ["--truth", *input.truth] if input.truth else [],
    message:
        "State the findings of the lecture's argument"
    shell:
        "python -m casestudies.lecture.summarise --results {params.results}"
        " --datasets {params.datasets} --scheme {params.scheme} --confidence {params.confidence}"
        " {params.truth} --output {output} 2> {log}"


rule plot_lecture:
    input:
        prepared="results/lecture/{dataset}/prepared.parquet",
        errors=f"results/lecture/{{dataset}}/errors/{LECTURE_SCHEME}.parquet",
        curves="results/lecture/{dataset}/curves.parquet",
        points="results/lecture/{dataset}/extrapolation.parquet",
        truth=lambda wildcards: lecture_truth(wildcards.dataset),
        code=code("lecture.plot"),
    output:
        [
            report(
                f"results/lecture/{{dataset}}/figures/{name}.svg",
                caption=f"../report/lecture/{name}.rst",
                category="Lecture",
                subcategory="{dataset}",
                labels={"data set": "{dataset}", "figure": name.replace("_", " ")},
            )
            for name in lecture_package.FIGURES
        ],
    log:
        "logs/lecture/{dataset}/plot.log",
    benchmark:
        "logs/lecture/{dataset}/plot.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        results=subpath(input.prepared, parent=True),
        scheme=LECTURE_SCHEME,
        truth=lambda wildcards, input: ["--truth", *input.truth] if input.truth else [],
        figures=lecture_package.FIGURES,
    message:
        "Draw the figures of {wildcards.dataset}"
    shell:
        "python -m casestudies.lecture.plot --results {params.results} --scheme {params.scheme}"
        " {params.truth} --figures {params.figures} --output {params.results}/figures 2> {log}"


rule illustrate_lecture:
    """The figures of the lecture's experiments."""
    input:
        polynomials="results/lecture/bias_variance.parquet",
        tables=expand("results/lecture/{name}.parquet", name=["descents", "paths", *EXPERIMENTS]),
        code=code("lecture.illustrate"),
    output:
        [
            report(
                f"results/lecture/figures/{name}.svg",
                caption=f"../report/lecture/{name}.rst",
                category="Lecture",
                labels={"data set": "experiments", "figure": name.replace("_", " ")},
            )
            for name in lecture_package.EXPERIMENT_FIGURES
        ],
    log:
        "logs/lecture/illustrate.log",
    benchmark:
        "logs/lecture/illustrate.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        results=subpath(input.polynomials, parent=True),
        figures=lecture_package.EXPERIMENT_FIGURES,
    message:
        "Draw the figures of the experiments"
    shell:
        "python -m casestudies.lecture.illustrate --results {params.results}"
        " --figures {params.figures} --output {params.results}/figures 2> {log}"
