"""Descend from many starts: who escapes a local minimum and a saddle, and how often."""

from pathlib import Path

import numpy as np
import pandas as pd

from casestudies.config.lecture import Landscape
from casestudies.lecture.landscape import BOX, STATIONARY, gradient, hessian, loss
from casestudies.steps import main, progress
from casestudies.tables import write_table

_QUIET = 0.75  # part of the steps after which the noise has fallen to nothing
_SMALL = 1e-3  # a gradient below is none
_SHOWN = 12  # descents of each kind whose paths are kept


def methods(settings: Landscape) -> dict[str, tuple[float, float]]:
    """Return inertia and noise of each method: plain, inertia, and noise of every strength."""
    noisy = {f"noise {noise:g}": (0.0, noise) for noise in settings.noises}
    return {"plain": (0.0, 0.0), "inertia": (settings.momentum, 0.0), **noisy}


def starts(kind: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return starts (count, 2): anywhere in the box, or all at a stationary point."""
    if kind == "anywhere":
        low, high = np.transpose(BOX)
        return rng.uniform(low, high, (count, 2))
    return np.tile(STATIONARY[kind], (count, 1))


def descend(
    start: np.ndarray,
    inertia: float,
    noise: float,
    settings: Landscape,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the paths (steps + 1, starts, 2) of descents that begin at rest.

    Parameters
    ----------
    inertia
        Part of the last step that is kept (Polyak 1964, doi:10.1016/0041-5553(64)90137-5).
    noise
        Standard deviation of normal noise on the gradient, at the first step.
    """
    path = np.empty((settings.steps + 1, *start.shape))
    path[0] = start
    velocity = np.zeros_like(start)
    for step in range(settings.steps):
        slope = gradient(path[step])
        if noise:
            amount = noise * max(0.0, 1 - step / (_QUIET * settings.steps))
            slope = slope + amount * rng.standard_normal(start.shape)
        velocity = inertia * velocity - settings.learning_rate * slope
        # Noise may throw a point out of the box, from where a quartic would throw it further.
        path[step + 1] = np.clip(path[step] + velocity, *np.transpose(BOX))
    return path


def arrived(points: np.ndarray) -> pd.DataFrame:
    """Say where descents have ended: x, y, loss, slope, eigenvalues (ascending), end.

    ``end`` is told by the eigenvalues of the Hessian: both positive, a minimum, named after the
    nearest; one negative, a saddle; and "on its way" where the gradient has not vanished.
    """
    slope = np.linalg.norm(gradient(points), axis=1)
    eigenvalues = np.linalg.eigvalsh(hessian(points))
    minima = ["global minimum", "local minimum"]
    distances = [np.linalg.norm(points - STATIONARY[name], axis=1) for name in minima]
    nearest = np.array(minima)[np.argmin(distances, axis=0)]
    end = np.where(eigenvalues[:, 0] > 0, nearest, "saddle")
    columns = {"x": points[:, 0], "y": points[:, 1], "loss": loss(points), "slope": slope}
    columns |= {"smallest": eigenvalues[:, 0], "largest": eigenvalues[:, 1]}
    return pd.DataFrame({**columns, "end": np.where(slope < _SMALL, end, "on its way")})


def optimise(*, settings: str = "{}", seed: int, paths: Path, output: Path) -> None:
    """Descend from many starts with each method and say where they end.

    Parameters
    ----------
    settings
        Settings that differ from the defaults (casestudies.config.lecture.Landscape), as JSON.
    seed
        Seed of starts and noise.
    paths
        Output: start, method, number, step, x, y of a few descents.
    output
        Output: start (anywhere, local minimum, saddle), method, number, and see :func:`arrived`.
    """
    chosen = Landscape.model_validate_json(settings)
    rng = np.random.default_rng(seed)
    ends, shown = [], []
    for kind in progress(["anywhere", "local minimum", "saddle"], "kinds of starts"):
        start = starts(kind, chosen.starts, rng)
        for method, (inertia, noise) in methods(chosen).items():
            path = descend(start, inertia, noise, chosen, rng)
            about = {"start": kind, "method": method}
            ends.append(arrived(path[-1]).assign(**about, number=np.arange(chosen.starts)))
            few = path[:, :_SHOWN]
            steps, number = np.indices(few.shape[:2])
            where = {"x": few[..., 0].ravel(), "y": few[..., 1].ravel()}
            shown.append(
                pd.DataFrame({**about, "number": number.ravel(), "step": steps.ravel(), **where})
            )
    facts = {"seed": seed, "settings": chosen.model_dump(mode="json")}
    write_table(pd.concat(shown, ignore_index=True), paths, facts)
    write_table(pd.concat(ends, ignore_index=True), output, facts)


if __name__ == "__main__":
    main(optimise)
