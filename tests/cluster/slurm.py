"""A SLURM cluster of one node, on this machine, for as long as the tests run.

Daemons, keys, spool and logs live in one folder. Cgroups are not needed, so a container will do;
the memory of a job is read every second instead. GPUs are null devices that SLURM hands out.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

CPUS = 8  # more than there may be: most of a short job is waiting for Python to start
MEMORY = 16_000  # MB
GPUS = 4
# srun, within a job, looks here: the executor hides SLURM_CONF from it.
DEFAULT_PLACE = Path("/etc/slurm")
DAEMONS = ("munged", "slurmctld", "slurmd")
CONFIGURATION = ("slurm.conf", "gres.conf")

SLURM_CONF = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
# Memory: read every second, and a job over its limit is killed.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
# Seconds in place of minutes until a lost node and an overdue job are noticed.
SlurmdTimeout=5
InactiveLimit=0
KillWait=1
OverTimeLimit=0
ReturnToService=2
# A job of a lost node has failed; else SLURM itself would start it again, two minutes later.
JobRequeue=0
# The state of finished jobs is asked of squeue, for want of a database.
MinJobAge=3600
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/completed.txt
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str | None:
    """Say what keeps this machine from being a cluster, and the remedy; None if nothing does."""
    if absent := [name for name in (*DAEMONS, "sbatch", "srun") if not _find(name)]:
        return f"{', '.join(absent)} not found: apt-get install slurm-wlm munge"
    if os.geteuid() != 0:
        return "a SLURM cluster is started as root only"
    for name in CONFIGURATION:
        path = DEFAULT_PLACE / name
        if path.exists() and not path.is_symlink():
            return f"{path} is there: this machine has a cluster of its own"
    return None


class Cluster:
    """The daemons of the cluster and what became of its jobs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = socket.gethostname().partition(".")[0]

    def start(self) -> None:
        """Write the configuration and start the daemons, each waited for."""
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        ports = _free_ports(2)
        text = SLURM_CONF.format(
            host=self.host,
            folder=self.folder,
            controller_port=ports[0],
            node_port=ports[1],
            cpus=CPUS,
            memory=MEMORY,
            gpus=GPUS,
        )
        (self.folder / "slurm.conf").write_text(text)
        devices = [self.folder / f"gpu{number}" for number in range(GPUS)]
        for device in devices:
            os.mknod(device, 0o20666, Path("/dev/null").stat().st_rdev)
        lines = [f"NodeName={self.host} Name=gpu File={device}" for device in devices]
        (self.folder / "gres.conf").write_text("\n".join(lines) + "\n")
        DEFAULT_PLACE.mkdir(exist_ok=True)
        for name in CONFIGURATION:
            path = DEFAULT_PLACE / name
            path.unlink(missing_ok=True)
            path.symlink_to(self.folder / name)
        run(
            _find("munged"),
            f"--key-file={key}",
            f"--socket={self.folder}/munge.socket",
            f"--pid-file={self.folder}/munged.pid",
            f"--log-file={self.folder}/munged.log",
            f"--seed-file={self.folder}/munged.seed",
        )
        run(_find("slurmctld"))
        self._wait("the controller", lambda: "UP" in run("scontrol", "ping"))
        self.start_node()

    def start_node(self) -> None:
        """Start the daemon of the node and wait until jobs can run."""
        # Steps start where the daemon did, and are told from other processes by that.
        subprocess.run([_find("slurmd")], cwd=self.folder, check=True, capture_output=True)
        usable = {"idle", "mixed", "allocated"}
        state = ("sinfo", "--noheader", "--format=%T")
        self._wait("the node", lambda: run(*state).strip() in usable)

    def stop_node(self) -> None:
        """Take the node away as a power cut does: its daemon and all that runs on it."""
        for pid in [*self._steps(), self._pid("slurmd")]:
            if pid is not None:
                for child in (*descendants(pid), pid):
                    _kill(child, signal.SIGKILL)

    def stop(self) -> None:
        """End jobs and daemons, and leave nothing in the default place."""
        if self._pid("slurmctld"):
            subprocess.run(["scancel", "--user=root"], check=False, capture_output=True)
        self.stop_node()
        for name in reversed(DAEMONS):
            if pid := self._pid(name):
                _kill(pid, signal.SIGTERM)
                self._wait(f"the end of {name}", lambda name=name: self._pid(name) is None)
        for name in CONFIGURATION:
            path = DEFAULT_PLACE / name
            if path.is_symlink() and path.readlink().parent == self.folder:
                path.unlink()

    def completed(self) -> list[dict[str, str]]:
        """Return the fields of every job that has ended, as the controller wrote them down."""
        path = self.folder / "completed.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        return [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in lines]

    def _steps(self) -> list[int]:
        """Return the processes that look after the steps of jobs on the node."""
        found = []
        for path in Path("/proc").glob("[0-9]*/comm"):
            try:
                ours = (path.parent / "cwd").readlink() == self.folder
                if ours and path.read_text().strip() == "slurmstepd":
                    found.append(int(path.parent.name))
            except OSError:  # it has ended meanwhile
                continue
        return found

    def _pid(self, name: str) -> int | None:
        try:
            pid = int((self.folder / f"{name}.pid").read_text())
            alive = Path(f"/proc/{pid}/comm").read_text().strip() == name
        except (OSError, ValueError):
            return None
        return pid if alive else None

    def _wait(self, what: str, ready: Callable[[], bool], seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > end:
                logs = [path.read_text()[-2000:] for path in self.folder.glob("*.log")]
                raise TimeoutError("\n".join([f"{what}: waited {seconds} s", *logs]))
            time.sleep(0.1)


def run(*command: str | None) -> str:
    """Run a command and return what it printed, failure or not: the caller waits for an answer."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def _find(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def descendants(pid: int) -> list[int]:
    """Return the children of a process, whichever thread started them, and theirs."""
    children = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            children += [int(word) for word in path.read_text().split()]
    return [*(one for child in children for one in descendants(child)), *children]


def _kill(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
