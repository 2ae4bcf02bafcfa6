"""Seeds of jobs, all children of one."""

from zlib import crc32


def job_seed(seed: int, *names: str) -> int:
    """Return the seed of one job: a child of the configuration's seed, by the job's names."""
    import numpy as np

    child = np.random.SeedSequence(seed, spawn_key=[crc32(name.encode()) for name in names])
    return int(child.generate_state(1)[0])
