# A network in place of a costly flow model over topography.
#
# REQUIRED INPUTS
#   data/raw/…   random fields simulated here, elevation models fetched or a user's own folder
# OUTPUTS, below results/wind/
#   {dataset}/terrains.nc, flows/…               terrains, and flows over them by every flow model
#   {dataset}/prepared.nc, prepared.parquet      gathered; one row per terrain
#   {dataset}/{predictions,inner,choices}/{scheme}/{model}.parquet   every model on every scheme
#   {dataset}/{learning,costs,positions}.csv     against training terrains, time, place on the slope
#   {dataset}/model/                             for new terrain
#   {dataset}/figures/…, explore.json, finding.txt   for the report
#   askervein/…                                  flow models and network against masts

import casestudies.wind as wind_package

WIND = CONFIG.wind
WIND_SCHEME = next(iter(WIND.schemes))
WIND_FIGURES = [
    name for name, needed in wind_package.FIGURES.items() if needed <= {*WIND.baselines}
]


rule wind:
    """The wind study: scores, figures and finding of every configured data set."""
    input:
        expand("results/wind/{dataset}/finding.txt", dataset=WIND.datasets),
        expand("results/wind/{dataset}/figures/scores.svg", dataset=WIND.datasets),
        expand("results/wind/{dataset}/explore.json", dataset=WIND.datasets),
        expand("results/wind/{dataset}/model/model.json", dataset=WIND.datasets),
        ["results/wind/askervein/figures/transects.svg"] if WIND.askervein else [],
    localrule: True


rule simulate_wind:
    """Simulated terrain of the wind study."""
    input:
        code=code("wind.simulate"),
    output:
        terrains="data/raw/simulated/wind/terrains.nc",
        parameters="data/raw/simulated/wind/parameters.json",
    log:
        "logs/wind/simulated/simulate.log",
    benchmark:
        "logs/wind/simulated/simulate.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        folder=subpath(output.terrains, parent=True),
        simulation=WIND.simulation,
        tile=WIND.tile,
        seed=seed("wind", "simulate"),
    message:
        "Simulate terrain"
    shell:
        "python -m casestudies.wind.simulate --output {params.folder}"
        " --terrains {params.simulation.terrains}"
        " --correlation-length {params.simulation.correlation_length}"
        " --slope {params.simulation.slope}"
        " --spectral-exponent {params.simulation.spectral_exponent}"
        " --roughness {params.simulation.roughness} --cells {params.tile.cells}"
        " --spacing {params.tile.spacing} --fringe {params.tile.fringe}"
        " --steepest {params.tile.steepest} --relief {params.tile.relief}"
        " --seed {params.seed} 2> {log}"


rule tile_wind:
    input:
        rasters=lambda wildcards: wind_rasters(wildcards.dataset),
        fields=lambda wildcards: (
            "data/raw/simulated/wind/terrains.nc"
            if "simulated/wind" in WIND.sources(wildcards.dataset)
            else []
        ),
        code=code("wind.tile"),
    output:
        "results/wind/{dataset}/terrains.nc",
    log:
        "logs/wind/{dataset}/tile.log",
    benchmark:
        "logs/wind/{dataset}/tile.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
        gpu=0,
    params:
        fields=lambda wildcards, input: ["--fields", input.fields] if input.fields else [],
        tile=WIND.tile,
        roughness=lambda wildcards: (
            [WIND.local[wildcards.dataset].roughness] * 2
            if wildcards.dataset in WIND.local
            else WIND.simulation.roughness
        ),
        # The same tiles whatever the flow model.
        seed=seed("wind", "tile"),
    message:
        "Cut elevation models into terrains: {wildcards.dataset}"
    shell:
        "python -m casestudies.wind.tile --rasters {input.rasters:q} {params.fields}"
        " --cells {params.tile.cells} --spacing {params.tile.spacing}"
        " --fringe {params.tile.fringe} --steepest {params.tile.steepest}"
        " --relief {params.tile.relief} --per-massif {params.tile.per_massif}"
        " --roughness {params.roughness} --seed {params.seed} --output {output} 2> {log}"


rule solve_wind:
    input:
        terrains=lambda wildcards: wind_terrains(wildcards.dataset),
        code=lambda wildcards: sorted({*code("wind.solve"), *code(f"wind.{wildcards.solver}")}),
    output:
        "results/wind/{dataset}/flows/{solver}.nc",
    log:
        "logs/wind/{dataset}/solve_{solver}.log",
    benchmark:
        "logs/wind/{dataset}/solve_{solver}.tsv"
    wildcard_constraints:
        solver="linear|mass_consistent",
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
        gpu=0,
    params:
        settings=lambda wildcards: json.dumps(WIND.settings(wildcards.solver)),
        heights=WIND.tile.heights,
    message:
        "Solve the flow over {wildcards.dataset}: {wildcards.solver}"
    shell:
        "OMP_NUM_THREADS={threads} python -m casestudies.wind.solve --solver {wildcards.solver}"
        " --terrains {input.terrains} --settings {params.settings:q}"
        " --heights {params.heights} --threads {threads} --output {output} 2> {log}"


# A job for some terrains each: a cluster runs many side by side, and waits for each in its queue. A
# killed job keeps the flows that it has solved.
rule solve_wind_openfoam:
    input:
        terrains=lambda wildcards: wind_terrains(wildcards.dataset),
        code=sorted({*code("wind.solve"), *code("wind.openfoam")}),
    output:
        "results/wind/{dataset}/flows/openfoam/{number}.nc",
    log:
        "logs/wind/{dataset}/solve_openfoam/{number}.log",
    benchmark:
        "logs/wind/{dataset}/solve_openfoam/{number}.tsv"
    wildcard_constraints:
        number=r"\d+",
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1500),
        # A flow takes about 20 s, one that does not converge up to half an hour.
        runtime=growing(30 + 10 * WIND.flows_per_job),
        gpu=0,
    params:
        settings=json.dumps(WIND.settings("openfoam")),
        heights=WIND.tile.heights,
        per_job=WIND.flows_per_job,
        checkpoint=lambda wildcards, output: f"{output}.checkpoints",
    message:
        "Solve flows over {wildcards.dataset}, part {wildcards.number}: OpenFOAM"
    shell:
        "OMP_NUM_THREADS={threads} python -m casestudies.wind.solve --solver openfoam"
        " --terrains {input.terrains} --number {wildcards.number} --per-job {params.per_job}"
        " --checkpoint {params.checkpoint} --settings {params.settings:q}"
        " --heights {params.heights} --output {output} 2> {log}"


rule prepare_wind:
    input:
        terrains=lambda wildcards: wind_terrains(wildcards.dataset),
        flows=lambda wildcards: wind_flows(wildcards.dataset),
        cheap=lambda wildcards: wind_cheap(wildcards.dataset),
        code=code("wind.prepare"),
    output:
        fields="results/wind/{dataset}/prepared.nc",
        prepared="results/wind/{dataset}/prepared.parquet",
    log:
        "logs/wind/{dataset}/prepare.log",
    benchmark:
        "logs/wind/{dataset}/prepare.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
        gpu=0,
    message:
        "Gather terrains and flows: {wildcards.dataset}"
    shell:
        "python -m casestudies.wind.prepare --terrains {input.terrains} --flows {input.flows}"
        " --cheap {input.cheap} --fields {output.fields} --output {output.prepared} 2> {log}"


# All baselines in one job, which reads the flows and computes the features of the cells once.
for job, (models, datasets) in WIND.fitting_jobs().items():

    rule:
        name:
            f"fit_wind_{job}"
        input:
            fields="results/wind/{dataset}/prepared.nc",
            prepared="results/wind/{dataset}/prepared.parquet",
            splits="results/wind/{dataset}/splits/{scheme}.parquet",
            code=code("wind.fit"),
        output:
            predictions=model_files("wind", "predictions", models),
            inner=model_files("wind", "inner", models),
            choices=model_files("wind", "choices", models),
        log:
            "logs/wind/{dataset}/fit_{scheme}.log",
        benchmark:
            "logs/wind/{dataset}/fit_{scheme}.tsv"
        wildcard_constraints:
            dataset="|".join(map(re.escape, datasets)),
        conda:
            "../../envs/studies.yaml"
        threads: 1
        resources:
            mem_mb=growing(2000),
            runtime=growing(60),
            gpu=0,
        params:
            models=models,
            seeds=lambda wildcards, output: model_seeds("wind", wildcards, output),
            units=lambda wildcards: WIND.schemes[wildcards.scheme].units,
            coverage=CONFIG.scores.coverage,
            predictions=lambda wildcards, output: os.path.dirname(output.predictions[0]),
            inner=lambda wildcards, output: os.path.dirname(output.inner[0]),
            choices=lambda wildcards, output: os.path.dirname(output.choices[0]),
        message:
            "Fit the models of {wildcards.dataset} by {wildcards.scheme}"
        shell:
            "OMP_NUM_THREADS={threads} python -m casestudies.wind.fit --prepared {input.fields}"
            " --samples {input.prepared} --splits {input.splits} --models {params.models}"
            " --seeds {params.seeds} --units {params.units} --coverage {params.coverage}"
            " --output {params.predictions} --inner {params.inner} --choices {params.choices}"
            " 2> {log}"


rule train_wind:
    input:
        fields="results/wind/{dataset}/prepared.nc",
        prepared="results/wind/{dataset}/prepared.parquet",
        splits="results/wind/{dataset}/splits/{scheme}.parquet",
        code=code("wind.train"),
    output:
        predictions="results/wind/{dataset}/predictions/{scheme}/{model}.parquet",
        inner="results/wind/{dataset}/inner/{scheme}/{model}.parquet",
        choices="results/wind/{dataset}/choices/{scheme}/{model}.parquet",
        curves="results/wind/{dataset}/training/{scheme}/{model}.parquet",
    log:
        "logs/wind/{dataset}/train_{scheme}_{model}.log",
    benchmark:
        "logs/wind/{dataset}/train_{scheme}_{model}.tsv"
    wildcard_constraints:
        model="|".join(WIND.networks),
    conda:
        "../../envs/studies-gpu.yaml" if CONFIG.training.gpu else "../../envs/studies.yaml"
    threads: CONFIG.training.threads
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
        gpu=CONFIG.training.gpu,
    params:
        units=lambda wildcards: WIND.schemes[wildcards.scheme].units,
        coverage=CONFIG.scores.coverage,
        settings=lambda wildcards: json.dumps(WIND.settings(wildcards.model)),
        cheap=lambda wildcards: WIND.cheap(wildcards.dataset),
        training=CONFIG.training,
        checkpoint=lambda wildcards, output: f"{output.predictions}.checkpoints",
        seed=lambda wildcards: seed(
            "wind", "train", wildcards.dataset, wildcards.scheme, wildcards.model
        ),
    message:
        "Train {wildcards.model} on {wildcards.dataset} by {wildcards.scheme}"
    shell:
        "OMP_NUM_THREADS={threads} python -m casestudies.wind.train --prepared {input.fields}"
        " --samples {input.prepared} --splits {input.splits} --model {wildcards.model}"
        " --settings {params.settings:q} --cheap {params.cheap} --units {params.units}"
        " --coverage {params.coverage} --seed {params.seed} --threads {threads}"
        " --device {params.training.device} --country {params.training.country}"
        " --checkpoint {params.checkpoint}"
        " --checkpoint-every {params.training.checkpoint_every} --output {output.predictions}"
        " --inner {output.inner} --choices {output.choices} --curves {output.curves} 2> {log}"


rule combine_wind:
    input:
        prepared="results/wind/{dataset}/prepared.parquet",
        predictions=expand(
            "results/wind/{{dataset}}/predictions/{{scheme}}/{model}.parquet", model=WIND.networks
        ),
        inner=expand(
            "results/wind/{{dataset}}/inner/{{scheme}}/{model}.parquet", model=WIND.networks
        ),
        code=code("evaluation.combine"),
    output:
        predictions="results/wind/{dataset}/predictions/{scheme}/{model}.parquet",
        inner="results/wind/{dataset}/inner/{scheme}/{model}.parquet",
        weights="results/wind/{dataset}/weights/{scheme}/{model}.parquet",
    log:
        "logs/wind/{dataset}/combine_{scheme}_{model}.log",
    benchmark:
        "logs/wind/{dataset}/combine_{scheme}_{model}.tsv"
    wildcard_constraints:
        model="surrogate",
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        units=lambda wildcards: WIND.schemes[wildcards.scheme].units,
        coverage=CONFIG.scores.coverage,
    message:
        "Choose a network for {wildcards.dataset} by {wildcards.scheme}"
    shell:
        "python -m casestudies.evaluation.combine --samples {input.prepared}"
        " --predictions {input.predictions} --inner-predictions {input.inner}"
        " --method chosen --units {params.units} --coverage {params.coverage}"
        " --output {output.predictions} --inner {output.inner} --weights {output.weights} 2> {log}"


rule save_wind:
    input:
        fields="results/wind/{dataset}/prepared.nc",
        prepared="results/wind/{dataset}/prepared.parquet",
        splits=f"results/wind/{{dataset}}/splits/{WIND_SCHEME}.parquet",
        predictions=expand(
            "results/wind/{{dataset}}/predictions/{scheme}/{model}.parquet",
            scheme=WIND_SCHEME,
            model=WIND.networks,
        ),
        chosen=f"results/wind/{{dataset}}/predictions/{WIND_SCHEME}/surrogate.parquet",
        code=code("wind.save"),
    output:
        model="results/wind/{dataset}/model/model.json",
        networks="results/wind/{dataset}/model/networks.safetensors",
    log:
        "logs/wind/{dataset}/save.log",
    benchmark:
        "logs/wind/{dataset}/save.tsv"
    conda:
        "../../envs/studies-gpu.yaml" if CONFIG.training.gpu else "../../envs/studies.yaml"
    threads: CONFIG.training.threads
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
        gpu=CONFIG.training.gpu,
    params:
        folder=subpath(output.model, parent=True),
        settings=json.dumps({name: WIND.settings(name) for name in WIND.networks}),
        cheap=lambda wildcards: WIND.cheap(wildcards.dataset),
        cheap_settings=lambda wildcards: json.dumps(WIND.settings(WIND.cheap(wildcards.dataset))),
        units=WIND.schemes[WIND_SCHEME].units,
        coverage=CONFIG.scores.coverage,
        training=CONFIG.training,
        checkpoint=lambda wildcards, output: f"{output.networks}.checkpoints",
        seed=lambda wildcards: seed("wind", "save", wildcards.dataset),
    message:
        "Keep a surrogate of {wildcards.dataset} for new terrain"
    shell:
        "OMP_NUM_THREADS={threads} python -m casestudies.wind.save --prepared {input.fields}"
        " --samples {input.prepared} --splits {input.splits} --predictions {input.predictions}"
        " --chosen {input.chosen} --settings {params.settings:q} --cheap {params.cheap}"
        " --cheap-settings {params.cheap_settings:q} --units {params.units}"
        " --coverage {params.coverage} --seed {params.seed} --threads {threads}"
        " --device {params.training.device} --checkpoint {params.checkpoint}"
        " --checkpoint-every {params.training.checkpoint_every} --output {params.folder} 2> {log}"


rule cost_wind:
    input:
        fields="results/wind/{dataset}/prepared.nc",
        prepared="results/wind/{dataset}/prepared.parquet",
        model="results/wind/{dataset}/model/model.json",
        predictions=lambda wildcards: expand(
            "results/wind/{dataset}/predictions/{scheme}/{model}.parquet",
            dataset=wildcards.dataset,
            scheme=WIND_SCHEME,
            model=[*wind_cheap_baselines(wildcards.dataset), *WIND.networks],
        ),
        code=lambda wildcards: sorted(
            {*code("wind.cost"), *code(f"wind.{WIND.solver(wildcards.dataset)}")}
        ),
    output:
        "results/wind/{dataset}/costs.csv",
    log:
        "logs/wind/{dataset}/cost.log",
    benchmark:
        "logs/wind/{dataset}/cost.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
        gpu=0,
    params:
        results=subpath(input.prepared, parent=True),
        folder=subpath(input.model, parent=True),
        scheme=WIND_SCHEME,
        networks=WIND.networks,
        cheap=lambda wildcards: wind_cheap_baselines(wildcards.dataset),
        settings=json.dumps({name: WIND.settings(name) for name in ("mass_consistent", "openfoam")}),
        terrains=WIND.cost_terrains,
        resamples=CONFIG.scores.bootstrap,
        confidence=CONFIG.scores.confidence,
        seed=lambda wildcards: seed("wind", "cost", wildcards.dataset),
    message:
        "Measure what a flow of {wildcards.dataset} costs"
    shell:
        "OMP_NUM_THREADS={threads} python -m casestudies.wind.cost --results {params.results}"
        " --scheme {params.scheme} --networks {params.networks} --model {params.folder}"
        " --cheap {params.cheap} --settings {params.settings:q} --terrains {params.terrains}"
        " --resamples {params.resamples} --confidence {params.confidence} --seed {params.seed}"
        " --output {output} 2> {log}"


rule summarise_wind:
    input:
        fields="results/wind/{dataset}/prepared.nc",
        prepared="results/wind/{dataset}/prepared.parquet",
        predictions=lambda wildcards: predictions("wind", wildcards.dataset),
        scores="results/wind/{dataset}/scores.csv",
        comparisons="results/wind/{dataset}/comparisons.csv",
        costs="results/wind/{dataset}/costs.csv",
        code=code("wind.summarise"),
    output:
        positions="results/wind/{dataset}/positions.csv",
        finding=report(
            "results/wind/{dataset}/finding.txt",
            caption="../report/wind/finding.rst",
            category="Wind",
            subcategory="{dataset}",
            labels={"data set": "{dataset}", "figure": "finding, in words"},
        ),
    log:
        "logs/wind/{dataset}/summarise.log",
    benchmark:
        "logs/wind/{dataset}/summarise.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
        gpu=0,
    params:
        results=subpath(input.prepared, parent=True),
        schemes=lambda wildcards: WIND.schemes_of(wildcards.dataset),
        models=lambda wildcards: WIND.predictors(wildcards.dataset, WIND_SCHEME),
        resamples=CONFIG.scores.bootstrap,
        confidence=CONFIG.scores.confidence,
        seed=lambda wildcards: seed("wind", "summarise", wildcards.dataset),
    message:
        "State the finding on {wildcards.dataset}"
    shell:
        "python -m casestudies.wind.summarise --results {params.results}"
        " --schemes {params.schemes} --models {params.models} --scores {input.scores}"
        " --comparisons {input.comparisons} --costs {input.costs}"
        " --resamples {params.resamples} --confidence {params.confidence} --seed {params.seed}"
        " --positions {output.positions} --output {output.finding} 2> {log}"


rule plot_wind:
    input:
        fields="results/wind/{dataset}/prepared.nc",
        prepared="results/wind/{dataset}/prepared.parquet",
        scores="results/wind/{dataset}/scores.csv",
        predictions=lambda wildcards: predictions("wind", wildcards.dataset),
        positions="results/wind/{dataset}/positions.csv",
        learning="results/wind/{dataset}/learning.csv",
        costs="results/wind/{dataset}/costs.csv",
        code=code("wind.plot"),
    output:
        [
            report(
                f"results/wind/{{dataset}}/figures/{name}.svg",
                caption=f"../report/wind/{name}.rst",
                category="Wind",
                subcategory="{dataset}",
                labels={"data set": "{dataset}", "figure": name.replace("_", " ")},
            )
            for name in WIND_FIGURES
        ],
    log:
        "logs/wind/{dataset}/plot.log",
    benchmark:
        "logs/wind/{dataset}/plot.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
        gpu=0,
    params:
        results=subpath(input.scores, parent=True),
        schemes=lambda wildcards: WIND.schemes_of(wildcards.dataset),
        models=lambda wildcards: WIND.predictors(wildcards.dataset, WIND_SCHEME),
        coverage=CONFIG.scores.coverage,
        figures=WIND_FIGURES,
    message:
        "Draw the figures of {wildcards.dataset}"
    shell:
        "python -m casestudies.wind.plot --results {params.results} --schemes {params.schemes}"
        " --models {params.models} --coverage {params.coverage} --figures {params.figures}"
        " --output {params.results}/figures 2> {log}"


rule learn_wind:
    input:
        fields="results/wind/{dataset}/prepared.nc",
        prepared="results/wind/{dataset}/prepared.parquet",
        splits=f"results/wind/{{dataset}}/splits/{WIND_SCHEME}.parquet",
        code=code("wind.learn"),
    output:
        "results/wind/{dataset}/learning.csv",
    log:
        "logs/wind/{dataset}/learn.log",
    benchmark:
        "logs/wind/{dataset}/learn.tsv"
    conda:
        "../../envs/studies-gpu.yaml" if CONFIG.training.gpu else "../../envs/studies.yaml"
    threads: CONFIG.training.threads
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
        gpu=CONFIG.training.gpu,
    params:
        model=WIND.networks[0],
        cheap=lambda wildcards: WIND.cheap(wildcards.dataset),
        settings=json.dumps(WIND.settings(WIND.networks[0])),
        sizes=WIND.training_sizes,
        resamples=CONFIG.scores.bootstrap,
        confidence=CONFIG.scores.confidence,
        training=CONFIG.training,
        checkpoint=lambda wildcards, output: f"{output}.checkpoints",
        seed=lambda wildcards: seed("wind", "learn", wildcards.dataset),
    message:
        "Train {params.model} on few terrains of {wildcards.dataset}"
    shell:
        "OMP_NUM_THREADS={threads} python -m casestudies.wind.learn --prepared {input.fields}"
        " --samples {input.prepared} --splits {input.splits} --model {params.model}"
        " --cheap {params.cheap} --settings {params.settings:q} --sizes {params.sizes}"
        " --resamples {params.resamples} --confidence {params.confidence} --seed {params.seed}"
        " --threads {threads} --device {params.training.device} --checkpoint {params.checkpoint}"
        " --checkpoint-every {params.training.checkpoint_every} --output {output} 2> {log}"


rule askervein_wind:
    """The hill of Askervein as a terrain, for flow models and networks to run on."""
    input:
        raw=downloads("askervein"),
        code=code("wind.askervein"),
    output:
        "results/wind/askervein/terrains.nc",
    log:
        "logs/wind/askervein/askervein.log",
    benchmark:
        "logs/wind/askervein/askervein.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    message:
        "Make a terrain of the contours of Askervein"
    shell:
        "python -m casestudies.wind.askervein --data data/raw/askervein --output {output} 2> {log}"


rule validate_wind:
    """The comparison of flow models with the masts of Askervein."""
    input:
        raw=downloads("askervein"),
        terrains="results/wind/askervein/terrains.nc",
        models=expand("results/wind/{dataset}/model/model.json", dataset=WIND.datasets),
        code=sorted({*code("wind.validate"), *code("wind.mass_consistent"), *code("wind.openfoam")}),
    output:
        stations="results/wind/askervein/stations.csv",
        scores="results/wind/askervein/scores.csv",
        finding=report(
            "results/wind/askervein/finding.txt",
            caption="../report/wind/askervein_finding.rst",
            category="Wind",
            subcategory="askervein",
            labels={"data set": "askervein", "figure": "finding, in words"},
        ),
    log:
        "logs/wind/askervein/validate.log",
    benchmark:
        "logs/wind/askervein/validate.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(3000),
        runtime=growing(120),
        gpu=0,
    params:
        folder=subpath(output.stations, parent=True),
        solvers=WIND.askervein,
        surrogates=expand("results/wind/{dataset}/model", dataset=WIND.datasets),
        # RANS has a finer mesh here than for whole data sets: see casestudies.wind.validate.
        settings=json.dumps({n: WIND.settings(n) for n in WIND.askervein if n != "openfoam"}),
        seed=seed("wind", "validate"),
    message:
        "Compare flow models and surrogates with the masts of Askervein"
    shell:
        "OMP_NUM_THREADS={threads} python -m casestudies.wind.validate --data data/raw/askervein"
        " --terrains {input.terrains} --solvers {params.solvers} --settings {params.settings:q}"
        " --surrogates {params.surrogates} --seed {params.seed} --output {params.folder} 2> {log}"


rule transect_wind:
    """The speed-up along the lines of masts on Askervein."""
    input:
        stations="results/wind/askervein/stations.csv",
        code=code("wind.transect"),
    output:
        report(
            "results/wind/askervein/figures/transects.svg",
            caption="../report/wind/askervein.rst",
            category="Wind",
            subcategory="askervein",
            labels={"data set": "askervein", "figure": "lines of masts"},
        ),
    log:
        "logs/wind/askervein/transect.log",
    benchmark:
        "logs/wind/askervein/transect.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    message:
        "Draw the lines of masts of Askervein"
    shell:
        "python -m casestudies.wind.transect --stations {input.stations} --output {output} 2> {log}"


rule explore_wind:
    input:
        fields="results/wind/{dataset}/prepared.nc",
        prepared="results/wind/{dataset}/prepared.parquet",
        predictions=lambda wildcards: predictions("wind", wildcards.dataset),
        code=code("wind.explore"),
    output:
        report(
            "results/wind/{dataset}/explore.json",
            caption="../report/wind/explore.rst",
            category="Wind",
            subcategory="{dataset}",
            labels={"data set": "{dataset}", "figure": "wind cases to explore"},
        ),
    log:
        "logs/wind/{dataset}/explore.log",
    benchmark:
        "logs/wind/{dataset}/explore.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(3000),
        runtime=growing(10),
        gpu=0,
    params:
        results=subpath(input.prepared, parent=True),
        schemes=lambda wildcards: WIND.schemes_of(wildcards.dataset),
        models=lambda wildcards: WIND.predictors(wildcards.dataset, WIND_SCHEME),
    message:
        "Collect what a reader of {wildcards.dataset} can point at"
    shell:
        "python -m casestudies.wind.explore --results {params.results}"
        " --schemes {params.schemes} --models {params.models} --output {output} 2> {log}"
