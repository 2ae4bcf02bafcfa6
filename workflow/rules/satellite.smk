# Pollution aloft from satellite images and a few balloon soundings, by way of a latent.
#
# REQUIRED INPUTS
#   data/raw/…   simulated here, fetched by rule fetch, or a user's own folder
# OUTPUTS, below results/satellite/
#   {dataset}/images.zarr, prepared.parquet               every image; one row per label
#   {dataset}/features/{scope}/{encoder}.parquet          latents of every image
#   {dataset}/encoders/{scope}/{encoder}.safetensors      the fitted encoders
#   {dataset}/{predictions,inner,choices}/{scheme}/{model}.parquet   every model on every scheme
#   {dataset}/curves/{model}.parquet, label_curves.csv    skill against the number of labels
#   {dataset}/overfitting.parquet                         raw images of growing resolution
#   {dataset}/model/                                      for new images
#   {dataset}/{figures/…,explore.json,finding.txt}, figures/skill.svg, finding.txt   for the report
#
# Snakemake knows folders by their date alone, which a copy changes. So images.zarr is `ancient`, and
# what has to be made anew is told by prepared.parquet, which holds a digest of the images.
#
# A scope is what an encoder has seen: without the test periods of a scheme, or all_images.

import casestudies.satellite as satellite_package

SATELLITE = CONFIG.satellite
SATELLITE_CURVES = SATELLITE.label_curves.scheme
SATELLITE_FIGURES = [
    name
    for name, needed in satellite_package.FIGURES.items()
    if needed
    <= {*SATELLITE.baselines, *SATELLITE.encoders, *(["network"] if SATELLITE.networks else [])}
]

# Images can be shown where an encoder can make them of latents again.
SATELLITE_BROWSED = (
    SATELLITE.datasets if {"pca", *SATELLITE.networks} & {*SATELLITE.encoders} else []
)


rule satellite:
    """The satellite study: scores, figures and finding of every configured data set."""
    input:
        expand("results/satellite/{dataset}/finding.txt", dataset=SATELLITE.datasets),
        expand("results/satellite/{dataset}/figures/scores.svg", dataset=SATELLITE.datasets),
        expand("results/satellite/{dataset}/model/model.json", dataset=SATELLITE.datasets),
        "results/satellite/figures/skill.svg",
        "results/satellite/finding.txt",
        [f"results/satellite/{dataset}/explore.json" for dataset in SATELLITE_BROWSED],
    localrule: True


rule simulate_satellite:
    input:
        code=code("satellite.simulate"),
    output:
        images=directory("data/raw/simulated/satellite/{scenario}/images.zarr"),
        soundings=directory("data/raw/simulated/satellite/{scenario}/soundings"),
        states="data/raw/simulated/satellite/{scenario}/states.csv",
        parameters="data/raw/simulated/satellite/{scenario}/parameters.json",
    log:
        "logs/satellite/simulated/simulate_{scenario}.log",
    benchmark:
        "logs/satellite/simulated/simulate_{scenario}.tsv"
    wildcard_constraints:
        scenario="|".join(SCENARIOS.values()),
    conda:
        "../../envs/studies-gpu.yaml" if CONFIG.training.gpu else "../../envs/studies.yaml"
    threads: CONFIG.training.threads
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
        gpu=CONFIG.training.gpu,
    params:
        folder=subpath(output.states, parent=True),
        simulation=SATELLITE.simulation,
        device=CONFIG.training.device,
        seed=lambda wildcards: seed("satellite", "simulate", wildcards.scenario),
    message:
        "Simulate images and soundings: {wildcards.scenario}"
    shell:
        "python -m casestudies.satellite.simulate --output {params.folder}"
        " --scenario {wildcards.scenario} --pixels {params.simulation.pixels}"
        " --days {params.simulation.days} --hours {params.simulation.hours}"
        " --noise {params.simulation.noise}"
        " --swath-gap {params.simulation.swath_gap}"
        " --label-error {params.simulation.label_error} --device {params.device}"
        " --threads {threads} --seed {params.seed} 2> {log}"


rule prepare_satellite:
    input:
        raw=lambda wildcards: satellite_raw(wildcards.dataset),
        code=code("satellite.prepare"),
    output:
        images=directory("results/satellite/{dataset}/images.zarr"),
        prepared="results/satellite/{dataset}/prepared.parquet",
    log:
        "logs/satellite/{dataset}/prepare.log",
    benchmark:
        "logs/satellite/{dataset}/prepare.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(120),
        gpu=0,
    params:
        raw=lambda wildcards: (
            [SATELLITE.folder(wildcards.dataset)]
            if wildcards.dataset in {*SATELLITE.local, *SCENARIOS}
            else [f"data/raw/{source}" for source in SATELLITE.sources(wildcards.dataset)]
        ),
        kind=lambda wildcards: (
            "local"
            if wildcards.dataset in SATELLITE.local
            else "simulated" if wildcards.dataset in SCENARIOS else wildcards.dataset
        ),
        options=lambda wildcards: (
            SATELLITE.local[wildcards.dataset].options.model_dump_json(exclude_unset=True)
            if wildcards.dataset in SATELLITE.local
            else "{}"
        ),
    message:
        "Prepare {wildcards.dataset}: images and labels"
    shell:
        "python -m casestudies.satellite.prepare --kind {params.kind} --raw {params.raw:q}"
        " --options {params.options:q} --images {output.images} --output {output.prepared} 2> {log}"


rule encode_satellite:
    input:
        images=ancient("results/satellite/{dataset}/images.zarr"),
        prepared="results/satellite/{dataset}/prepared.parquet",
        splits=lambda wildcards: (
            []
            if wildcards.scope == ALL_IMAGES
            else f"results/satellite/{wildcards.dataset}/splits/{wildcards.scope}.parquet"
        ),
        code=sorted(
            {
                *code("satellite.encode"),
                *code("satellite.encoders"),
                *code("satellite.networks"),
            }
        ),
    output:
        features=satellite_files("features/{scope}", SATELLITE.encoders, ".parquet"),
        weights=satellite_files("encoders/{scope}", SATELLITE.encoders, ".safetensors"),
        curves=satellite_files("features/{scope}", SATELLITE.encoders, "_curves.parquet"),
    log:
        "logs/satellite/{dataset}/encode_{scope}.log",
    benchmark:
        "logs/satellite/{dataset}/encode_{scope}.tsv"
    wildcard_constraints:
        scope="|".join([*SATELLITE.schemes, ALL_IMAGES]),
    conda:
        "../../envs/studies-gpu.yaml" if CONFIG.training.gpu else "../../envs/studies.yaml"
    threads: CONFIG.training.threads
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
        gpu=CONFIG.training.gpu if SATELLITE.networks else 0,
    params:
        encoders=SATELLITE.encoders,
        splits=lambda wildcards, input: ["--splits", input.splits] if input.splits else [],
        gap=lambda wildcards: (
            0 if wildcards.scope == ALL_IMAGES else SATELLITE.gap(wildcards.scope)
        ),
        settings=json.dumps({name: SATELLITE.settings(name) for name in SATELLITE.encoders}),
        training=CONFIG.training,
        features=lambda wildcards, output: os.path.dirname(output.features[0]),
        weights=lambda wildcards, output: os.path.dirname(output.weights[0]),
        checkpoint="results/satellite/{dataset}/encoders/{scope}/checkpoints",
        seed=lambda wildcards: seed("satellite", "encode", wildcards.dataset, wildcards.scope),
    message:
        "Encode the images of {wildcards.dataset}, {wildcards.scope}: {params.encoders}"
    shell:
        "OMP_NUM_THREADS={threads} python -m casestudies.satellite.encode"
        " --images {input.images} --prepared {input.prepared} {params.splits}"
        " --gap {params.gap} --encoders {params.encoders} --settings {params.settings:q}"
        " --seed {params.seed} --threads {threads} --device {params.training.device}"
        " --country {params.training.country} --checkpoint {params.checkpoint}"
        " --checkpoint-every {params.training.checkpoint_every}"
        " --features {params.features} --weights {params.weights} 2> {log}"


for job, (models, schemes) in SATELLITE.fitting_jobs().items():

    rule:
        name:
            f"fit_satellite_{job}"
        input:
            images=ancient("results/satellite/{dataset}/images.zarr"),
            prepared="results/satellite/{dataset}/prepared.parquet",
            splits="results/satellite/{dataset}/splits/{scheme}.parquet",
            features=satellite_features(models, "{scheme}"),
            code=code("satellite.fit"),
        output:
            predictions=satellite_files("predictions/{scheme}", models, ".parquet"),
            inner=satellite_files("inner/{scheme}", models, ".parquet"),
            choices=satellite_files("choices/{scheme}", models, ".parquet"),
        log:
            f"logs/satellite/{{dataset}}/fit_{{scheme}}_{job}.log",
        benchmark:
            f"logs/satellite/{{dataset}}/fit_{{scheme}}_{job}.tsv"
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
            features=lambda wildcards, input: (
                ["--features", *input.features] if input.features else []
            ),
            models=models,
            heads=SATELLITE.heads,
            latent_sizes=SATELLITE.latent_sizes,
            units=lambda wildcards: SATELLITE.schemes[wildcards.scheme].units,
            coverage=CONFIG.scores.coverage,
            predictions=lambda wildcards, output: os.path.dirname(output.predictions[0]),
            inner=lambda wildcards, output: os.path.dirname(output.inner[0]),
            choices=lambda wildcards, output: os.path.dirname(output.choices[0]),
            seed=lambda wildcards: seed("satellite", "fit", wildcards.dataset, wildcards.scheme),
        message:
            "Fit models on {wildcards.dataset} by {wildcards.scheme}: {params.models}"
        shell:
            "OMP_NUM_THREADS={threads} python -m casestudies.satellite.fit --images {input.images}"
            " --prepared {input.prepared} --splits {input.splits} {params.features}"
            " --models {params.models} --heads {params.heads}"
            " --latent-sizes {params.latent_sizes} --units {params.units}"
            " --coverage {params.coverage} --seed {params.seed}"
            " --predictions {params.predictions} --inner {params.inner}"
            " --choices {params.choices} 2> {log}"


rule train_satellite:
    input:
        images=ancient("results/satellite/{dataset}/images.zarr"),
        prepared="results/satellite/{dataset}/prepared.parquet",
        splits="results/satellite/{dataset}/splits/{scheme}.parquet",
        code=code("satellite.train"),
    output:
        predictions="results/satellite/{dataset}/predictions/{scheme}/{model}.parquet",
        inner="results/satellite/{dataset}/inner/{scheme}/{model}.parquet",
        choices="results/satellite/{dataset}/choices/{scheme}/{model}.parquet",
        curves="results/satellite/{dataset}/training/{scheme}/{model}.parquet",
    log:
        "logs/satellite/{dataset}/train_{scheme}_{model}.log",
    benchmark:
        "logs/satellite/{dataset}/train_{scheme}_{model}.tsv"
    wildcard_constraints:
        model="cnn",
    conda:
        "../../envs/studies-gpu.yaml" if CONFIG.training.gpu else "../../envs/studies.yaml"
    threads: CONFIG.training.threads
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
        gpu=CONFIG.training.gpu,
    params:
        units=lambda wildcards: SATELLITE.schemes[wildcards.scheme].units,
        coverage=CONFIG.scores.coverage,
        settings=as_json(SATELLITE.cnn),
        training=CONFIG.training,
        checkpoint=lambda wildcards, output: f"{output.predictions}.checkpoints",
        seed=lambda wildcards: seed(
            "satellite", "train", wildcards.dataset, wildcards.scheme, wildcards.model
        ),
    message:
        "Train {wildcards.model} on {wildcards.dataset} by {wildcards.scheme}"
    shell:
        "python -m casestudies.satellite.train --images {input.images}"
        " --prepared {input.prepared} --splits {input.splits} --settings {params.settings:q}"
        " --units {params.units} --coverage {params.coverage} --seed {params.seed}"
        " --threads {threads} --device {params.training.device}"
        " --country {params.training.country} --checkpoint {params.checkpoint}"
        " --checkpoint-every {params.training.checkpoint_every} --output {output.predictions}"
        " --inner {output.inner} --choices {output.choices} --curves {output.curves} 2> {log}"


for job, models in SATELLITE.curve_jobs().items():

    rule:
        name:
            f"curve_satellite_{job}"
        input:
            images=ancient("results/satellite/{dataset}/images.zarr"),
            prepared="results/satellite/{dataset}/prepared.parquet",
            splits=f"results/satellite/{{dataset}}/splits/{SATELLITE_CURVES}.parquet",
            features=satellite_features(models, SATELLITE_CURVES),
            code=code("satellite.curve"),
        output:
            satellite_files("curves", models, ".parquet"),
        log:
            f"logs/satellite/{{dataset}}/curve_{job}.log",
        benchmark:
            f"logs/satellite/{{dataset}}/curve_{job}.tsv"
        conda:
            "../../envs/studies-gpu.yaml" if CONFIG.training.gpu else "../../envs/studies.yaml"
        threads: CONFIG.training.threads
        resources:
            mem_mb=growing(4000),
            runtime=growing(60),
            gpu=CONFIG.training.gpu if job == "cnn" else 0,
        params:
            features=lambda wildcards, input: (
                ["--features", *input.features] if input.features else []
            ),
            models=models,
            heads=SATELLITE.heads,
            latent_sizes=SATELLITE.latent_sizes,
            labels=SATELLITE.label_curves.labels,
            draws=SATELLITE.label_curves.draws,
            settings=as_json(SATELLITE.cnn),
            training=CONFIG.training,
            checkpoint=lambda wildcards, output: f"{output[0]}.checkpoints",
            output=lambda wildcards, output: os.path.dirname(output[0]),
            seed=lambda wildcards: seed("satellite", "curve", wildcards.dataset),
        message:
            "Fit models on few labels of {wildcards.dataset}: {params.models}"
        shell:
            "OMP_NUM_THREADS={threads} python -m casestudies.satellite.curve"
            " --images {input.images} --prepared {input.prepared} --splits {input.splits}"
            " {params.features} --models {params.models} --heads {params.heads}"
            " --latent-sizes {params.latent_sizes} --labels {params.labels}"
            " --draws {params.draws} --settings {params.settings:q}"
            " --device {params.training.device} --threads {threads} --seed {params.seed}"
            " --checkpoint {params.checkpoint}"
            " --checkpoint-every {params.training.checkpoint_every}"
            " --output {params.output} 2> {log}"


rule overfit_satellite:
    input:
        images=ancient("results/satellite/{dataset}/images.zarr"),
        prepared="results/satellite/{dataset}/prepared.parquet",
        splits=f"results/satellite/{{dataset}}/splits/{SATELLITE_CURVES}.parquet",
        code=code("satellite.overfit"),
    output:
        "results/satellite/{dataset}/overfitting.parquet",
    log:
        "logs/satellite/{dataset}/overfit.log",
    benchmark:
        "logs/satellite/{dataset}/overfit.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
        gpu=0,
    params:
        seed=lambda wildcards: seed("satellite", "overfit", wildcards.dataset),
    message:
        "Regress on raw images of {wildcards.dataset} of growing resolution"
    shell:
        "OMP_NUM_THREADS={threads} python -m casestudies.satellite.overfit --images {input.images}"
        " --prepared {input.prepared} --splits {input.splits} --seed {params.seed}"
        " --output {output} 2> {log}"


rule summarise_satellite:
    input:
        prepared="results/satellite/{dataset}/prepared.parquet",
        curves=lambda wildcards: expand(
            "results/satellite/{dataset}/curves/{model}.parquet",
            dataset=wildcards.dataset,
            model=SATELLITE.fitted(wildcards.dataset, SATELLITE_CURVES),
        ),
        scores="results/satellite/{dataset}/scores.csv",
        comparisons="results/satellite/{dataset}/comparisons.csv",
        code=code("satellite.summarise"),
    output:
        label_curves="results/satellite/{dataset}/label_curves.csv",
        label_differences="results/satellite/{dataset}/label_differences.csv",
        finding=report(
            "results/satellite/{dataset}/finding.txt",
            caption="../report/satellite/finding.rst",
            category="Satellite",
            subcategory="{dataset}",
            labels={"data set": "{dataset}", "figure": "finding, in words"},
        ),
    log:
        "logs/satellite/{dataset}/summarise.log",
    benchmark:
        "logs/satellite/{dataset}/summarise.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        scheme=SATELLITE_CURVES,
        resamples=CONFIG.scores.bootstrap,
        confidence=CONFIG.scores.confidence,
        seed=lambda wildcards: seed("satellite", "summarise", wildcards.dataset),
    message:
        "State the finding on {wildcards.dataset}"
    shell:
        "python -m casestudies.satellite.summarise --prepared {input.prepared}"
        " --curves {input.curves} --scores {input.scores} --comparisons {input.comparisons}"
        " --scheme {params.scheme} --resamples {params.resamples}"
        " --confidence {params.confidence} --seed {params.seed}"
        " --label-curves {output.label_curves} --label-differences {output.label_differences}"
        " --output {output.finding} 2> {log}"


rule save_satellite:
    input:
        images=ancient("results/satellite/{dataset}/images.zarr"),
        prepared="results/satellite/{dataset}/prepared.parquet",
        splits=f"results/satellite/{{dataset}}/splits/{SATELLITE_CURVES}.parquet",
        features=expand(
            "results/satellite/{{dataset}}/features/{scope}/{encoder}.parquet",
            scope=ALL_IMAGES,
            encoder=SATELLITE.encoders,
        ),
        weights=expand(
            "results/satellite/{{dataset}}/encoders/{scope}/{encoder}.safetensors",
            scope=ALL_IMAGES,
            encoder=SATELLITE.encoders,
        ),
        code=code("satellite.save"),
    output:
        model="results/satellite/{dataset}/model/model.json",
        encoder="results/satellite/{dataset}/model/encoder.safetensors",
        labels="results/satellite/{dataset}/model/labels.safetensors",
    log:
        "logs/satellite/{dataset}/save.log",
    benchmark:
        "logs/satellite/{dataset}/save.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
        gpu=0,
    params:
        folder=subpath(output.model, parent=True),
        heads=SATELLITE.heads,
        latent_sizes=SATELLITE.latent_sizes,
        units=SATELLITE.schemes[SATELLITE_CURVES].units,
        coverage=CONFIG.scores.coverage,
        seed=lambda wildcards: seed("satellite", "save", wildcards.dataset),
    message:
        "Keep a model of {wildcards.dataset} for new images"
    shell:
        "OMP_NUM_THREADS={threads} python -m casestudies.satellite.save --images {input.images}"
        " --prepared {input.prepared} --splits {input.splits} --features {input.features}"
        " --weights {input.weights} --heads {params.heads}"
        " --latent-sizes {params.latent_sizes} --units {params.units}"
        " --coverage {params.coverage} --seed {params.seed} --output {params.folder} 2> {log}"


rule plot_satellite:
    input:
        images=ancient("results/satellite/{dataset}/images.zarr"),
        prepared="results/satellite/{dataset}/prepared.parquet",
        scores="results/satellite/{dataset}/scores.csv",
        predictions=lambda wildcards: predictions("satellite", wildcards.dataset),
        label_curves="results/satellite/{dataset}/label_curves.csv",
        label_differences="results/satellite/{dataset}/label_differences.csv",
        overfitting="results/satellite/{dataset}/overfitting.parquet",
        features=lambda wildcards: satellite_encoded(wildcards.dataset, ("features", ".parquet")),
        weights=lambda wildcards: satellite_encoded(wildcards.dataset, ("encoders", ".safetensors")),
        curves=lambda wildcards: satellite_encoded(
            wildcards.dataset, ("features", "_curves.parquet")
        ),
        code=code("satellite.plot"),
    output:
        [
            report(
                f"results/satellite/{{dataset}}/figures/{name}.svg",
                caption=f"../report/satellite/{name}.rst",
                category="Satellite",
                subcategory="{dataset}",
                labels={"data set": "{dataset}", "figure": name.replace("_", " ")},
            )
            for name in SATELLITE_FIGURES
        ],
    log:
        "logs/satellite/{dataset}/plot.log",
    benchmark:
        "logs/satellite/{dataset}/plot.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(3000),
        runtime=growing(30),
        gpu=0,
    params:
        results=subpath(input.scores, parent=True),
        # The scheme of the label curves first: it is the one that counts.
        schemes=lambda wildcards: sorted(
            SATELLITE.schemes_of(wildcards.dataset), key=SATELLITE_CURVES.__ne__
        ),
        models=lambda wildcards: SATELLITE.predictors(wildcards.dataset, SATELLITE_CURVES),
        gap=SATELLITE.gap(SATELLITE_CURVES),
        figures=SATELLITE_FIGURES,
    message:
        "Draw the figures of {wildcards.dataset}"
    shell:
        "python -m casestudies.satellite.plot --results {params.results}"
        " --schemes {params.schemes} --models {params.models} --gap {params.gap}"
        " --figures {params.figures} --output {params.results}/figures 2> {log}"


rule compare_satellite:
    """The skill of all models on all data sets of the satellite study, in figure and words."""
    input:
        scores=expand("results/satellite/{dataset}/scores.csv", dataset=SATELLITE.datasets),
        comparisons=expand(
            "results/satellite/{dataset}/comparisons.csv", dataset=SATELLITE.datasets
        ),
        code=code("satellite.compare"),
    output:
        figure=report(
            "results/satellite/figures/skill.svg",
            caption="../report/satellite/skill.rst",
            category="Satellite",
            labels={"data set": "all", "figure": "skill over season and hour"},
        ),
        finding=report(
            "results/satellite/finding.txt",
            caption="../report/satellite/findings.rst",
            category="Satellite",
            labels={"data set": "all", "figure": "finding, in words"},
        ),
    log:
        "logs/satellite/compare.log",
    benchmark:
        "logs/satellite/compare.tsv"
    localrule: True
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        scheme=SATELLITE_CURVES,
    message:
        "Draw and tell the skill on all data sets"
    shell:
        "python -m casestudies.satellite.compare --scores {input.scores}"
        " --comparisons {input.comparisons} --scheme {params.scheme} --text {output.finding}"
        " --output {output.figure} 2> {log}"


rule explore_satellite:
    input:
        images=ancient("results/satellite/{dataset}/images.zarr"),
        prepared="results/satellite/{dataset}/prepared.parquet",
        scores="results/satellite/{dataset}/scores.csv",
        predictions=lambda wildcards: predictions("satellite", wildcards.dataset),
        weights=lambda wildcards: satellite_encoded(wildcards.dataset, ("encoders", ".safetensors")),
        code=code("satellite.explore"),
    output:
        report(
            "results/satellite/{dataset}/explore.json",
            caption="../report/satellite/explore.rst",
            category="Satellite",
            subcategory="{dataset}",
            labels={"data set": "{dataset}", "figure": "images to browse"},
        ),
    log:
        "logs/satellite/{dataset}/explore.log",
    benchmark:
        "logs/satellite/{dataset}/explore.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(3000),
        runtime=growing(10),
        gpu=0,
    params:
        results=subpath(input.scores, parent=True),
        # The scheme of the label curves first: it is the one that counts.
        schemes=lambda wildcards: sorted(
            SATELLITE.schemes_of(wildcards.dataset), key=SATELLITE_CURVES.__ne__
        ),
        models=lambda wildcards: SATELLITE.predictors(wildcards.dataset, SATELLITE_CURVES),
        gap=SATELLITE.gap(SATELLITE_CURVES),
    message:
        "Collect what a reader of {wildcards.dataset} can point at"
    shell:
        "python -m casestudies.satellite.explore --results {params.results}"
        " --schemes {params.schemes} --models {params.models} --gap {params.gap}"
        " --output {output} 2> {log}"
