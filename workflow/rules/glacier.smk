# Annual surface mass balance of glaciers from climate and topography.
#
# REQUIRED INPUTS
#   data/raw/{dataset}/…   simulated here, fetched by rule fetch, or a user's own folder
# OUTPUTS
#   results/glacier/{dataset}/prepared.parquet                         one row per glacier and year
#   results/glacier/{dataset}/{predictions,inner}/{scheme}/{model}.parquet
#   results/glacier/{dataset}/responses.parquet                        what the models have learned
#   results/glacier/{dataset}/figures/…, finding.txt                   for the report
#   results/glacier/alpgm/audit.csv                                    the published scores, recomputed

from casestudies.glacier.alpgm import RAW_FILES

GLACIER = CONFIG.glacier


def glacier_raw(wildcards):
    """The raw files of a data set of the glacier study."""
    if wildcards.dataset in GLACIER.local:
        folder = GLACIER.local[wildcards.dataset].path
        return [f"{folder}/{name}.csv" for name in ("glaciers", "mass_balance", "climate")]
    return [f"data/raw/{wildcards.dataset}/{name}" for name in RAW_FILES]


rule glacier:
    """The glacier study: scores, figures and finding of every configured data set."""
    input:
        expand(
            "results/glacier/{dataset}/{name}",
            dataset=GLACIER.datasets,
            name=["scores.csv", "finding.txt"],
        ),
        "results/glacier/alpgm/audit.csv" if GLACIER.audit else [],
    localrule: True
