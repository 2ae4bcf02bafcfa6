"""The step that fits the models of one scheme."""

from pathlib import Path

import numpy as np
import pandas as pd

from casestudies.config.schemes import RepeatedKFold
from casestudies.evaluation.splits import folds_to_table, make_folds
from casestudies.mwas.fit import fit
from casestudies.tables import read_metadata, write_table

SCHEME = RepeatedKFold(subject="subject", folds=3, inner_folds=2)


def test_every_model_has_its_files_whatever_else_is_fitted(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    disease = np.arange(36) % 2.0
    names = [f"s{i}" for i in range(36)]
    samples = pd.DataFrame({"sample": names, "subject": names, "cohort": "c", "disease": disease})
    taxa = pd.DataFrame(rng.lognormal(size=(36, 5))).add_prefix("t")
    taxa["t0"] *= np.exp(2 * disease)
    samples = pd.concat([samples, taxa], axis=1)
    write_table(samples, tmp_path / "prepared.parquet", {"covariates": []})
    splits = folds_to_table(make_folds(samples, "disease", SCHEME, 0), samples)
    write_table(splits, tmp_path / "splits.parquet")

    def run(*models: str) -> Path:
        folder = tmp_path / "_".join(models)
        fit(
            prepared=tmp_path / "prepared.parquet",
            splits=tmp_path / "splits.parquet",
            models=list(models),
            seed=1,
            output=folder / "predictions",
            inner=folder / "inner",
            choices=folder / "choices",
        )
        return folder

    both, one = run("ridge", "ridge_log", "null_model"), run("ridge_log")
    for kind in ("predictions", "inner", "choices"):
        written = sorted(path.stem for path in (both / kind).iterdir())
        assert written == ["null_model", "ridge", "ridge_log"]
        pair = [pd.read_parquet(folder / kind / "ridge_log.parquet") for folder in (both, one)]
        pd.testing.assert_frame_equal(*pair, check_exact=True)
    predicted = pd.read_parquet(both / "predictions/ridge_log.parquet")
    assert sorted(predicted["sample"]) == sorted(names)
    assert read_metadata(both / "predictions/ridge_log.parquet")["model"] == "ridge_log"
