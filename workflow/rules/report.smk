# What the whole run rests on, and the report that is written when all is done.
#
# REQUIRED INPUTS
#   results/{study}/{dataset}/provenance.json   made by rule score
# OUTPUTS
#   results/provenance.json                     of the run
#   results/report.zip                          when a run of named targets has succeeded
#   results/report.html                         the same in one file, if report_html is among them

import subprocess


# That it runs, and so always, is what lets the report be written where nothing else is to be done.
rule report_html:
    """The report also as one file, results/report.html: of the targets beside it, or else of all."""
    input:
        lambda wildcards: rules.all.input if run_targets() == ["report_html"] else [],
    log:
        "logs/report_html.log",
    localrule: True
    message:
        "Write the report in one file, too"
    run:
        pass


rule provenance:
    """Commit, versions, configuration, seeds, device, seconds and energy of the run."""
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
    for line in headlines_of_run():
        print(line)
    for path, command in report_commands().items():
        subprocess.run(command, check=True, env=report_environment())
        print(
            f"The report: {path}",
            "(unpack it and open report/report.html)" * path.endswith("zip"),
        )
