"""The surrogate of the wind study against the flow models: seconds a flow, and at equal error.

Run ``python benchmarks/wind_surrogate.py results/wind/simulated`` (or the results of any other data
set, which the workflow has made; a minute on one core, longer with OpenFOAM). In one run, on the
same terrains, it prints

- processor seconds of a flow and error of the costly model, of cheaper forms of it, of the cheap
  flow models and of the surrogate (casestudies.wind.cost, which also draws the figure ``pareto``);
- the ratio of seconds at equal error: that of the fastest form of the costly model that is no less
  accurate, over the surrogate;
- flows per second of the surrogate's networks by the number of terrains given at once, on the CPU
  and, where there is one, on a GPU, and what part of the time of its arithmetic alone at peak rate
  that is where ``--peak`` gives the device's rate (10¹² operations a second).
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from casestudies.config.wind import Wind
from casestudies.wind.cost import cost
from casestudies.wind.networks import Shown
from casestudies.wind.results import Results
from casestudies.wind.save import read_surrogate


def equal_error(costs: pd.DataFrame) -> float:
    """Return the costly model's seconds at the surrogate's error, over the surrogate's seconds."""
    surrogate = costs[costs["kind"] == "surrogate"].iloc[0]
    as_good = costs["kind"].isin(["solver", "reference"]) & (costs["rmse"] <= surrogate["rmse"])
    return float(costs.loc[as_good, "seconds"].min() / surrogate["seconds"])


def rates(results: Path, device: str, sizes: list[int], repeats: int) -> pd.DataFrame:
    """Return flows per second and operations per flow of all networks, by terrains at once."""
    surrogate = read_surrogate(results / "model", device)
    fields = Results(results, [], []).fields
    nodes, roughness = fields["elevation"].to_numpy(), fields["roughness"].to_numpy()
    prefix = surrogate.about.cheap
    rows = []
    for size in sizes:
        chosen = np.arange(size) % len(nodes)
        cheap = None
        if prefix:
            parts = [fields[f"{prefix}_{name}"].to_numpy()[chosen] for name in "uvw"]
            cheap = np.stack(parts, axis=1)
        shown = Shown.of(surrogate.grid, nodes[chosen].astype(float), roughness[chosen], cheap)
        shown = shown.to(torch.device(device))

        def run(shown: Shown = shown) -> None:
            with torch.inference_mode():
                for network in surrogate.networks:
                    network.symmetric(shown.maps, shown.roughness)
            if device == "cuda":
                torch.cuda.synchronize()

        counter = FlopCounterMode(display=False)
        with counter:
            run()
        start = time.perf_counter()
        for _ in range(repeats):
            run()
        seconds = (time.perf_counter() - start) / repeats
        operations = counter.get_total_flops() / size
        rows.append({"device": device, "terrains": size, "per_second": size / seconds})
        rows[-1]["operations"] = operations
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="results/wind/<data set>")
    parser.add_argument("--terrains", type=int, default=12, help="on which is measured")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peak", type=float, help="rate of the device, 10¹² operations a second")
    options = parser.parse_args()
    torch.set_num_threads(1)
    networks = [path.stem for path in (options.results / "training" / "terrain").iterdir()]
    about = json.loads((options.results / "model" / "model.json").read_text())
    solvers = ("mass_consistent", "openfoam")
    cheap = ["linear", *(["mass_consistent"] if about["solver"] == "openfoam" else [])]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "costs.csv"
        cost(
            results=options.results,
            scheme="terrain",
            networks=networks,
            model=options.results / "model",
            cheap=cheap,
            settings=json.dumps({name: Wind().settings(name) for name in solvers}),
            terrains=options.terrains,
            seed=0,
            output=output,
        )
        costs = pd.read_csv(output)
    print(costs[["kind", "model", "seconds", "rmse", "terrains"]].to_string(index=False))
    print(f"\nratio of seconds at equal error: {equal_error(costs):.2g}")
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for device in devices:
        table = rates(options.results, device, [1, 8, 64], options.repeats)
        if options.peak:
            table["of_peak"] = table["per_second"] * table["operations"] / (1e12 * options.peak)
        print("\n" + table.to_string(index=False))


if __name__ == "__main__":
    main()
