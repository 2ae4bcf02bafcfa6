"""Four applied machine-learning studies, from raw data to a report."""

from snakemake.utils import min_version

min_version("9.27")


configfile: workflow.source_path("config/config.yaml")


# Used with --sdm apptainer alone; see envs/casestudies.def.
container: "envs/casestudies.sif"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/shared.smk"
include: "workflow/rules/glacier.smk"
include: "workflow/rules/mwas.smk"
include: "workflow/rules/satellite.smk"
include: "workflow/rules/wind.smk"
include: "workflow/rules/lecture.smk"
include: "workflow/rules/report.smk"


rule all:
    """Every study on its configured data sets, the provenance and the report."""
    default_target: True
    input:
        rules.glacier.input,
        rules.mwas.input,
        rules.satellite.input,
        rules.wind.input,
        rules.lecture.input,
        "results/lecture/figures/cost_all.svg",
        "results/provenance.json",
    localrule: True
