"""The AUC under chance: the whole pipeline again on labels that were permuted.

The AUC, of the true labels too, is computed in each held-out fold and averaged. Pooled over folds
it would lie below one half under chance: a fold with more cases leaves fewer to train on, and a
model that finds nothing predicts that lower share for it. Within a fold any order of the labels is
equally likely, whatever was learned from the others: the expectation is one half exactly.

The folds are drawn anew for every permutation, stratified by its labels as those of the true ones
are.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from pydantic import TypeAdapter
from threadpoolctl import threadpool_limits

from casestudies.config.schemes import RepeatedKFold, Scheme
from casestudies.evaluation.nested import Model, log_loss, nested_cross_validation
from casestudies.evaluation.scores import auc
from casestudies.evaluation.splits import make_folds
from casestudies.mwas.abundance import TARGET, load
from casestudies.mwas.models import build
from casestudies.steps import main, progress
from casestudies.tables import read_metadata, write_table


def permuted(samples: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Return labels permuted over the subjects of each cohort, (n,).

    All samples of a subject get one label, that of the first sample of some subject of the same
    cohort. So cohorts keep their share of diseased subjects, and what a cohort's laboratory or
    base rate explains remains explained.

    Parameters
    ----------
    samples
        Columns subject, cohort, disease.
    """
    subjects = samples.drop_duplicates(["cohort", "subject"])
    drawn = subjects.groupby("cohort", sort=False)[TARGET].transform(
        lambda labels: rng.permutation(labels.to_numpy())
    )
    keys = pd.MultiIndex.from_frame(subjects[["cohort", "subject"]])
    positions = keys.get_indexer(pd.MultiIndex.from_frame(samples[["cohort", "subject"]]))
    return drawn.to_numpy(dtype=float)[positions]


def mean_auc(predictions: pd.DataFrame) -> float:
    """Return the AUC averaged over the folds that have both classes.

    Parameters
    ----------
    predictions
        Columns repeat, fold, observed, predicted.
    """
    areas = [
        auc(part["observed"].to_numpy(), part["predicted"].to_numpy(), np.ones((1, len(part))))
        for _, part in predictions.groupby(["repeat", "fold"])
    ]
    return float(np.nanmean(areas))


def null_distribution(
    model: Model,
    predictors: pd.DataFrame,
    samples: pd.DataFrame,
    scheme: Scheme,
    permutations: int,
    threads: int,
    seed: int,
) -> pd.DataFrame:
    """Return permutation (-1: the true labels) and auc, the same for any number of threads.

    Parameters
    ----------
    scheme
        Cross-validation scheme; of its repeats the first is done.
    """
    if isinstance(scheme, RepeatedKFold):
        scheme = scheme.model_copy(update={"repeats": 1})

    def one(permutation: int) -> float:
        drawn, split = np.random.SeedSequence([seed, permutation + 1]).spawn(2)
        labels = samples[TARGET].to_numpy()
        if permutation >= 0:
            labels = permuted(samples, np.random.default_rng(drawn))
        folds = make_folds(samples.assign(**{TARGET: labels}), TARGET, scheme, split)
        with threadpool_limits(1):
            predicted, _, _ = nested_cross_validation(
                model,
                predictors,
                labels,
                folds,
                seed=seed,
                loss=log_loss,
                calibrated=False,
                label=f"permutation {permutation}",
            )
        return mean_auc(predicted)

    numbers = range(-1, permutations)
    jobs = Parallel(n_jobs=threads, return_as="generator")(delayed(one)(n) for n in numbers)
    areas = list(progress(jobs, "permutations", total=len(numbers)))
    return pd.DataFrame({"permutation": numbers, "auc": areas})


def permute(
    *,
    prepared: Path,
    splits: Path,
    scheme: str,
    model: str,
    permutations: int,
    threads: int,
    seed: int,
    output: Path,
) -> None:
    """Run the nested cross-validation again and again on permuted labels.

    Parameters
    ----------
    prepared
        Prepared table, one row per sample.
    splits
        Split table, of which the scheme is read.
    scheme
        Name of the scheme.
    model
        Name of the model (casestudies.mwas.models.build).
    permutations
        Number of permutations.
    threads
        Processes to run side by side.
    seed
        Seed of the permutations and the fits.
    output
        Table: scheme, model, permutation (-1: the true labels), auc (mean over held-out folds).
    """
    data = load(prepared)
    samples = data.samples
    settings = read_metadata(splits)["scheme"]
    table = null_distribution(
        build(model, data.taxa.columns, data.usable_covariates),
        data.predictors,
        samples,
        TypeAdapter(Scheme).validate_python(settings),
        permutations,
        threads,
        seed,
    )
    table = table.assign(scheme=scheme, model=model)
    write_table(table[["scheme", "model", "permutation", "auc"]], output)


if __name__ == "__main__":
    main(permute)
