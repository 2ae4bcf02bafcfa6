"""Fit encoders under one scope and encode every frame."""

import json
import platform
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from casestudies.errors import InputError, nearest
from casestudies.evaluation.splits import read_folds
from casestudies.satellite.folds import training_frames
from casestudies.satellite.images import Images
from casestudies.satellite.registry import NETWORKS, Encoder, encoder_class
from casestudies.satellite.survey import SurveyedImages
from casestudies.seeds import job_seed
from casestudies.steps import main, progress
from casestudies.tables import read_table, write_table, writing
from casestudies.training.energy import measured
from casestudies.training.parallel import side_by_side

ALL_IMAGES = -1
_CURVES = ["step", "training_loss", "validation_loss"]


def encode(
    *,
    images: Path,
    prepared: Path,
    splits: Path | None = None,
    gap: float = 0.0,
    encoders: list[str],
    settings: str = "{}",
    seed: int,
    threads: int = 1,
    device: str = "auto",
    country: str = "FRA",
    checkpoint: Path,
    checkpoint_every: float = 60.0,
    features: Path,
    weights: Path,
) -> None:
    """Fit encoders once a fold, or once on all images, and write the latents of every frame.

    Parameters
    ----------
    images
        Image series (Zarr).
    prepared
        Prepared table, one row per label.
    splits
        Folds of the scheme; the encoder of a fold sees no frame of its test period. Without them
        one encoder sees every frame, also those that will be tested on, but no label.
    gap
        Days before and after a test period whose frames the encoder does not see either.
    encoders
        Names of the encoders (casestudies.satellite.registry.ENCODERS).
    settings
        By encoder the settings that differ from its defaults, as JSON.
    seed
        Seed of everything random in the fits; each encoder draws from a child of its own.
    threads
        CPU threads: folds that are fitted side by side, each with its own frames in memory.
    device
        auto, cpu or cuda; encoders in closed form use the CPU.
    country
        ISO 3166 code of the country whose electricity mix turns energy into CO2e.
    checkpoint
        Folder of checkpoints; a killed step resumes from it, and a finished one removes it.
    checkpoint_every
        Seconds between checkpoints.
    features
        Folder for <encoder>.parquet, the latents: fold (-1 for all images), frame, z0, z1, …; and
        <encoder>_curves.parquet, the losses along the training, empty for one in closed form.
    weights
        Folder for <encoder>.safetensors, the fitted encoders of all folds, read by
        :func:`load_encoder`.
    """
    makers = _makers(encoders, settings)
    series = Images(images)
    samples = read_table(prepared, complete=["sample", "day", "frame"])
    scope = list(_scope(series, samples, splits, gap, prepared))
    surveyed = SurveyedImages(
        series, [side for make in makers.values() if (side := make().settings.get("side"))]
    )
    for encoder, make in makers.items():
        own = job_seed(seed, encoder)
        described, where = _device(encoder, device)
        tables, losses, stored, trained = [], [], {}, {}
        fit = partial(
            _fit,
            images=surveyed,
            encoder=encoder,
            make=make,
            seed=own,
            device=where,
            checkpoint=checkpoint,
            checkpoint_every=checkpoint_every,
        )
        with measured(country) as energy:
            surveyed.survey()  # done once, at the cost of the first encoder
            fitted = side_by_side(fit, scope, threads if where == "cpu" else 1)
            for (fold, frames), (model, table) in zip(scope, fitted, strict=True):
                tables.append(table)
                losses.append(pd.DataFrame(model.curves, columns=_CURVES).assign(fold=fold))
                stored |= {f"{fold}/{name}": array for name, array in model.arrays().items()}
                trained[str(fold)] = {
                    "frames": len(frames),
                    "first": str(series.times[frames[0]]),
                    "last": str(series.times[frames[-1]]),
                }
        facts = {"encoder": encoder, "settings": model.settings, "trained_on": trained}
        metadata = {
            **facts,
            "parameters": model.parameters,
            "seed": own,
            "threads": threads,
            **described,
            **energy.as_dict(),
        }
        with writing(weights / f"{encoder}.safetensors") as temporary:
            # One entry: safetensors writes several in an order of its own, never the same twice.
            header = {"casestudies": json.dumps(facts)}
            save_file(
                {name: np.ascontiguousarray(array) for name, array in stored.items()},
                temporary,
                header,
            )
        table = pd.concat(losses, ignore_index=True)[["fold", *_CURVES]]
        table = table.astype({"fold": "int16", "step": "int64"})
        write_table(table, features / f"{encoder}_curves.parquet", {"encoder": encoder})
        latents = pd.concat(tables, ignore_index=True)
        write_table(latents, features / f"{encoder}.parquet", metadata)
    if set(encoders) & set(NETWORKS):
        from casestudies.training.checkpoint import remove_checkpoints  # torch

        remove_checkpoints(checkpoint)


def load_encoder(path: Path, fold: int = ALL_IMAGES) -> Encoder:
    """Return a fitted encoder from the file that :func:`encode` wrote.

    Parameters
    ----------
    fold
        Of the scheme; -1 for the encoder of all images.

    Raises
    ------
    InputError
        If the file is missing or damaged, or holds no such fold.
    """
    try:
        with safe_open(path, framework="np") as file:
            header = json.loads((file.metadata() or {})["casestudies"])
            names = [name for name in file.keys() if name.startswith(f"{fold}/")]  # noqa: SIM118
            arrays = {name.split("/", 1)[1]: file.get_tensor(name) for name in names}
        kind, settings, folds = header["encoder"], header["settings"], header["trained_on"]
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise InputError(
            f"{path}: not a readable encoder ({error}); have it made again by the step encode."
        ) from error
    if not arrays:
        raise InputError(f"{path}: holds no fold {fold}; it has {', '.join(folds)}.")
    return encoder_class(kind).from_arrays(arrays, settings)


def _makers(encoders: Sequence[str], settings: str) -> dict[str, Callable[[], Encoder]]:
    """Return what makes each encoder, unfitted, its settings known to be good."""
    try:
        chosen = json.loads(settings)
    except ValueError as error:
        raise InputError(f"--settings: not JSON: {error}.") from error
    if unused := [name for name in chosen if name not in encoders]:
        raise InputError(f"--settings: {nearest(unused[0], encoders)}")
    makers = {name: partial(encoder_class(name), **chosen.get(name, {})) for name in encoders}
    for name, make in makers.items():
        try:
            make()
        except (ValueError, TypeError) as error:
            raise InputError(f"satellite.encoders.{name}: {error}.") from error
    return makers


def _scope(
    images: Images, samples: pd.DataFrame, splits: Path | None, gap: float, prepared: Path
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each fold with the frames that its encoder is trained on."""
    count = images.shape[0]
    if not samples["frame"].between(0, count - 1).all():
        raise InputError(
            f"{prepared}: column 'frame' points outside the {count} frames of {images.path}; the "
            "two belong to different data. Delete both to have them made again."
        )
    if splits is None:
        yield ALL_IMAGES, np.arange(count)
        return
    days = (images.times - images.times[0]) / np.timedelta64(1, "D")
    for fold in read_folds(splits, samples):
        if fold.repeat:
            raise InputError(f"{splits}: encoders are fitted once a fold; use a single repeat.")
        frames = training_frames(days, samples, fold.test, gap)
        if np.isin(samples["frame"].to_numpy()[fold.test], frames).any():
            raise AssertionError(f"fold {fold.fold}: a test frame is among the training frames")
        yield fold.fold, frames


def _device(encoder: str, name: str) -> tuple[dict[str, str], str]:
    """Return what provenance says of the device, and its type for the encoder."""
    if encoder not in NETWORKS:  # nor does it wait for torch
        return {"device": "cpu", "device_name": platform.machine()}, "cpu"
    from casestudies.training.device import describe
    from casestudies.training.device import device as find_device

    where = find_device(name)
    return describe(where), where.type


def _fit(
    scope: tuple[int, np.ndarray],
    *,
    images: Images,
    encoder: str,
    make: Callable[[], Encoder],
    seed: int,
    device: str,
    checkpoint: Path,
    checkpoint_every: float,
) -> tuple[Encoder, pd.DataFrame]:
    """Return the encoder of a fold and its frames, and the latents of all frames."""
    fold, frames = scope
    label = encoder if fold == ALL_IMAGES else f"{encoder} fold {fold}"
    model = make()
    model.fit(
        images,
        frames,
        int(np.random.SeedSequence([seed, fold + 1]).generate_state(1)[0]),
        device=device,
        checkpoint=checkpoint / f"{encoder}_fold{fold}.safetensors",
        checkpoint_every=checkpoint_every,
        label=label,
    )
    return model, _latents(model, images, fold, label)


def _latents(model: Encoder, images: Images, fold: int, label: str) -> pd.DataFrame:
    batches = list(images.batches(np.arange(images.shape[0]), megabytes=512))
    parts = [model.transform(images, b) for b in progress(batches, f"{label}, encoding")]
    latents = np.concatenate(parts)
    if not np.isfinite(latents).all():
        raise InputError(
            f"{label}: latents of {images.path} are not finite; the training diverged, lower its "
            "learning rate."
        )
    table = pd.DataFrame(latents, columns=[f"z{k}" for k in range(latents.shape[1])])
    table.insert(0, "frame", np.arange(len(table), dtype=np.int32))
    table.insert(0, "fold", np.int16(fold))
    return table


if __name__ == "__main__":
    main(encode)
