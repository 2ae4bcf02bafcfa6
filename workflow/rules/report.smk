# What the whole run rests on.
#
# REQUIRED INPUTS
#   results/{study}/{dataset}/provenance.json   made by rule score
# OUTPUTS
#   results/provenance.json                     of the run


rule provenance:
    input:
        studies=[
            f"results/{study}/{dataset}/provenance.json"
            for study, section in STUDIES.items()
            for dataset in section.datasets
        ],
        code=code("provenance"),
    output:
        report(
            "results/provenance.json",
            caption="../report/provenance.rst",
            category="Provenance",
            labels={"what": "commit, versions, configuration, seeds, device, seconds, energy"},
        ),
    log:
        "logs/provenance.log",
    benchmark:
        "logs/provenance.tsv"
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
        gpu=0,
    params:
        config=as_json(CONFIG),
        seed=CONFIG.seed,
    message:
        "Collect what the run rests on"
    shell:
        "python -m casestudies.provenance --studies {input.studies} --config {params.config:q}"
        " --seed {params.seed} --output {output} 2> {log}"
