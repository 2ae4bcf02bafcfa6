"""Time, energy and CO2e of a step, by codecarbon."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from casestudies.errors import InputError, nearest

log = logging.getLogger("casestudies")

_JOULES_PER_KWH = 3.6e6
# How codecarbon knows the processor's power: these read a meter, any other is computed from
# processor time and the rated power.
_METERS = ("intel_rapl", "intel_power_gadget", "windows_emi")


@dataclass
class Energy:
    """What a step used; filled when the measured block ends.

    ``method`` is "measured" if the processor's own meter was read, "estimated" if its power was
    computed from processor time and rated power, as on most virtual machines, and "not measured"
    if neither was possible (then ``joules`` and ``co2e_kg`` are None). A GPU is always metered,
    memory always estimated.
    """

    country: str
    seconds: float = 0.0
    joules: float | None = None
    co2e_kg: float | None = None
    method: str = "not measured"

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for a table's metadata."""
        return asdict(self)


@contextmanager
def measured(country: str = "FRA") -> Iterator[Energy]:
    """Measure the wall time (s), energy (J) and emissions (kg CO2e) of the block.

    Only this process and its children count. codecarbon takes one to two seconds to identify the
    processor and has no option against it, so it starts in the background while the block begins;
    energy is scaled from the part of the block that it saw to the whole.

    Parameters
    ----------
    country
        ISO 3166 alpha-3 code of the country whose electricity mix is used.

    Raises
    ------
    InputError
        If codecarbon has no electricity mix for ``country``.
    """
    # Its import alone prints; nothing of it belongs in the log of a step.
    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
    from codecarbon import OfflineEmissionsTracker
    from codecarbon.input import DataSource

    countries = DataSource().get_global_energy_mix_data()
    if country not in countries:
        raise InputError(
            f"training.country is {country!r}: no electricity mix is known for it; give an ISO "
            f"3166 alpha-3 code, such as FRA; {nearest(country, countries)}"
        )
    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
    tracker = OfflineEmissionsTracker(
        country_iso_code=country,
        tracking_mode="process",
        output_methods=[],
        allow_multiple_runs=True,
        log_level=logging.CRITICAL,
    )

    def start() -> None:
        try:
            tracker.start()
        except Exception as error:  # whatever a foreign meter raises, the step is worth more
            log.warning("energy is not measured: %s", error)

    starter = threading.Thread(target=start, daemon=True)
    energy = Energy(country)
    began = time.monotonic()
    starter.start()
    try:
        yield energy
    finally:
        energy.seconds = time.monotonic() - began
        starter.join()
        tracker.stop()
        data = getattr(tracker, "final_emissions_data", None)
        if data is not None and data.energy_consumed > 0:
            unseen = max(energy.seconds / data.duration, 1.0) if data.duration else 1.0
            energy.joules = data.energy_consumed * _JOULES_PER_KWH * unseen
            energy.co2e_kg = data.emissions * unseen
            modes = [getattr(part, "_mode", None) for part in tracker._hardware]
            energy.method = "measured" if any(mode in _METERS for mode in modes) else "estimated"
