# What the whole run rests on, and the report that is written when all is done.
#
# REQUIRED INPUTS
#   results/{study}/{dataset}/provenance.json   made by rule score
# OUTPUTS
#   results/provenance.json                     of the run
#   results/report.zip                          when a run of named targets has succeeded

import subprocess


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
            labels={"figure": "commit, versions, configuration, seeds, device, seconds, energy"},
        ),
    log:
        "logs/provenance.log",
    benchmark:
        "logs/provenance.tsv"
    localrule: True
    conda:
        "../../envs/studies.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        gpu=0,
    params:
        config=as_json(CONFIG),
        seed=CONFIG.seed,
    message:
        "Collect what the run rests on"
    shell:
        "python -m casestudies.provenance --studies {input.studies} --config {params.config:q}"
        " --seed {params.seed} --output {output} 2> {log}"


# Not the profile's report-after-run: that also fires, and fails, on a dry run, and lets a run of a
# single file overwrite the whole report.
onsuccess:
    if command := report_command():
        subprocess.run(command, check=True)
        print("The report: results/report.zip (unpack it and open report/report.html)")
