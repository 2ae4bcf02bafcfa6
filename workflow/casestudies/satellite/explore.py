"""The browser of images of the report: what encoders keep of an image, frame by frame."""

from pathlib import Path
from typing import Any

import numpy as np

from casestudies.errors import InputError
from casestudies.figures.explore import Panel, fields, thinned
from casestudies.files import write_json
from casestudies.satellite.gallery import LEAST_VALID, decoders, load
from casestudies.satellite.results import LABELS, Results
from casestudies.steps import main

FRAMES = 24
"""Frames to step through, evenly over the held-out time."""
CHANNELS = 4
"""Channels that can be chosen, the first ones."""
SHOWN_BYTES = 1 << 27
"""Memory of the frames; fewer are shown where they are large, but no fewer than three."""
SPREAD = 3.0
"""Ends of the scale of images, in standard deviations of the channel."""


def image_cases(results: Results) -> dict[str, Any]:
    """Return the document of a browser of frames: image, reconstruction by encoder, difference."""
    shown = {name: load(results, name) for name in decoders(results)}
    if not shown:
        raise InputError(f"{results.folder}: no encoder that can decode was fitted; add pca.")
    first = next(iter(shown.values()))
    frames = _spread_out(first.frames, results.images.shape[1:])
    values, valid = first.decoder.standardiser.apply(results.images.read(frames))
    seen = valid.mean(axis=(1, 2, 3))
    kept = seen >= min(LEAST_VALID, seen.max())
    frames, values, valid = frames[kept], values[kept], valid[kept]
    made = np.stack(
        [
            one.decoder.decode(one.decoder.transform(results.images, frames))
            for one in shown.values()
        ],
        axis=2,
    )  # frames, channels, encoders, y, x
    error = np.sqrt(np.nanmean((made - values[:, :, None]) ** 2, axis=(1, 3, 4), where=_all(valid)))
    image = np.where(valid, values, np.nan)[:, :CHANNELS]
    made = made[:, :CHANNELS]
    if results.images.y[0] < results.images.y[-1]:
        image, made = image[..., ::-1, :], made[..., ::-1, :]
    labels = [LABELS[name] for name in shown]
    times = [str(results.images.times[frame])[:16].replace("T", " ") for frame in frames]
    ends = (-SPREAD, SPREAD)
    return fields(
        [
            f"{time}: error of "
            + ", ".join(f"{name} {one:.2f} sd" for name, one in zip(labels, row, strict=True))
            for time, row in zip(times, error, strict=True)
        ],
        [
            Panel("image", "sd", "sequential", *ends, thinned(image), ["channel"]),
            Panel(
                "reconstruction", "sd", "sequential", *ends, thinned(made), ["channel", "encoder"]
            ),
            Panel("difference", "sd", "reversed", -2.0, 2.0, minus=("reconstruction", "image")),
        ],
        {
            "channel": [
                one.name.replace("_", " ") for one in results.images.channels[: image.shape[1]]
            ],
            "encoder": labels,
        },
        {
            "case": "frame",
            "note": f"In standard deviations (sd) of the channel; grey is missing. {len(frames)} "
            f"frames, {first.words}.",
        },
    )


def _all(valid: np.ndarray) -> np.ndarray:
    return valid[:, :, None]


def _spread_out(frames: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return some of the frames, evenly over the time, that fit into memory."""
    fitting = SHOWN_BYTES // (4 * int(np.prod(shape)))
    count = min(FRAMES, len(frames), max(3, fitting))
    return frames[np.linspace(0, len(frames) - 1, count).astype(int)]


def explore(
    *, results: Path, schemes: list[str], models: list[str], gap: float, output: Path
) -> None:
    """Collect what the report's browser of images shows.

    Parameters
    ----------
    results
        Folder of the data set, results/satellite/<data set>.
    schemes
        Cross-validation schemes, that of the label curves first.
    models
        Models that were scored.
    gap
        Time left out on either side of a test block (days).
    output
        Document (JSON) that the report draws.
    """
    write_json(image_cases(Results(results, schemes, models, gap)), output)


if __name__ == "__main__":
    main(explore)
