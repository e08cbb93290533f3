"""A Slurm cluster of two nodes on loopback, for as long as a test lasts: munged, slurmctld, two slurmd, a GPU each.

Everything stands in a folder of its own, but for links in /etc/slurm while the cluster lives: Snakemake's Slurm plugin
strips SLURM_CONF from its jobs, so they look nowhere else.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

CONFIGURED = Path("/etc/slurm")
FILES = ("slurm.conf", "gres.conf", "cgroup.conf")
NODES = ("node-1", "node-2")
SLURMDS = tuple(f"slurmd.{node}" for node in NODES)
DAEMONS = ("munged", "slurmctld", *SLURMDS)
CONTROL_PORT, NODE_PORT = 26817, 26818
OF_A_JOB = "SLURM_CLUSTER_NAME=assay\0"  # in a process's environment

SLURM_CONF = """\
ClusterName=assay
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control_port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MpiDefault=none
GresTypes=gpu
ReturnToService=2
SlurmdTimeout=20
KillWait=5
OverTimeLimit=0
SlurmdParameters=config_overrides
NodeName={nodes} NodeHostname={host} NodeAddr=127.0.0.1 Port={node_ports} CPUs={cpus} RealMemory={memory} \
  Gres=gpu:1 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@dataclass
class Slurm:
    """The cluster's folder and daemons."""

    folder: Path
    cpus: int = 3  # of each node
    memory: int = 15000
    host: str = field(default_factory=lambda: socket.gethostname().split(".")[0])

    def start(self) -> None:
        """Start the daemons and wait until the nodes take jobs."""
        for name in ("state", *(f"spool.{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)
        values = {"host": self.host, "folder": self.folder, "cpus": self.cpus, "memory": self.memory}
        values |= {"control_port": CONTROL_PORT, "nodes": ",".join(NODES)}
        values["node_ports"] = f"[{NODE_PORT}-{NODE_PORT + len(NODES) - 1}]"
        (self.folder / "slurm.conf").write_text(SLURM_CONF.format(**values))
        (self.folder / "gres.conf").write_text("Name=gpu File=/dev/null\n")
        # "disabled" does not exist in Debian bookworm's Slurm, and stops slurmd.
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        self._link()
        key = self.folder / "munge.key"
        key.touch(mode=0o400)
        key.write_bytes(secrets.token_bytes(128))
        private = [
            f"--{name}={self.folder}/munge.{name.split('-')[0]}"
            for name in ("key-file", "pid-file", "log-file", "seed-file")
        ]
        self._run("munged", "--force", f"--socket={self.folder}/munge.socket", *private)
        self._run("slurmctld", "-f", self.folder / "slurm.conf")
        self.start_nodes()

    def start_nodes(self) -> None:
        """Start slurmd on each node and wait until all take jobs."""
        for node in NODES:
            self._run("slurmd", "-N", node, "-f", self.folder / "slurm.conf")
        for _ in range(240):
            states = self.run("sinfo", "-N", "-h", "-o", "%t").split()
            if len(states) == len(NODES) and {"idle", "mix", "alloc"}.issuperset(states):
                return
            time.sleep(1)
        logs = "\n".join(self.log(daemon) for daemon in DAEMONS[1:])
        raise RuntimeError(f"not all nodes take jobs: {self.run('sinfo')}\n{logs}")

    def kill_nodes(self) -> None:
        """As if all nodes had died: slurmd, its job managers and all that they started, at once."""
        for daemon in SLURMDS:
            _kill(self.pid(daemon))
        self._kill_jobs()

    def stop(self) -> None:
        """End all daemons and jobs that this cluster started."""
        self.run("scancel", "--user=root", check=False)
        for _ in range(20):
            if not self.run("squeue", "-h", check=False):
                break
            time.sleep(0.5)
        self._kill_jobs()
        for name in reversed(DAEMONS):
            if pid := self.pid(name):
                os.kill(pid, signal.SIGTERM)
                _wait_for_end(pid)
        for name in FILES:
            link = CONFIGURED / name
            if link.is_symlink() and link.readlink().parent == self.folder:
                link.unlink()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *command: object, check: bool = True) -> str:
        """The output of one of Slurm's commands."""
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        if check and done.returncode:
            raise RuntimeError(f"{command[0]}: {done.stderr}")
        return done.stdout.strip()

    def pid(self, daemon: str) -> int | None:
        """The process of a daemon that lives."""
        file = self.folder / ("munge.pid" if daemon == "munged" else f"{daemon}.pid")
        pid = int(file.read_text() or 0) if file.is_file() else 0
        return pid if pid and Path(f"/proc/{pid}").exists() else None

    def log(self, daemon: str) -> str:
        """The last lines of a daemon's log."""
        file = self.folder / f"{daemon}.log"
        return "\n".join(file.read_text().splitlines()[-15:]) if file.is_file() else f"no {file}"

    def _link(self) -> None:
        CONFIGURED.mkdir(exist_ok=True)
        for name in FILES:
            link = CONFIGURED / name
            if link.is_symlink() and not link.exists():
                link.unlink()  # of a test that was killed
            if link.exists() or link.is_symlink():
                raise RuntimeError(
                    f"{link} is there: this machine belongs to a cluster; see ASSAY_CLUSTER in containers/README.md"
                )
            link.symlink_to(self.folder / name)

    def _run(self, daemon: str, *options: object) -> None:
        done = subprocess.run([daemon, *map(str, options)], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{daemon} does not start: {done.stderr}")

    def _kill_jobs(self) -> None:
        steps = self._stepds()
        for pid in {pid for step in steps for pid in descendants(step)} | set(steps) | set(self._strays()):
            _kill(pid)

    def _strays(self) -> list[int]:
        """What jobs started and no job manager knows of any more, as its parent ended before it."""
        return [pid for pid, _, environment in _processes() if OF_A_JOB in environment]

    def _stepds(self) -> list[int]:
        """The job managers that this cluster's slurmd left running; they outlive it."""
        return [
            pid for pid, line, environment in _processes() if "slurmstepd" in line and str(self.folder) in environment
        ]


def descendants(pid: int | None) -> set[int]:
    """All processes below one."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(path.parent.name))
    found: set[int] = set()
    waiting = [pid] if pid else []
    while waiting:
        new = children.get(waiting.pop(), [])
        found.update(new)
        waiting.extend(new)
    return found


def _processes() -> list[tuple[int, str, str]]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            line = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environment = (path / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        found.append((int(path.name), line, environment))
    return found


def _kill(pid: int | None) -> None:
    try:
        if pid:
            os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _wait_for_end(pid: int) -> None:
    for _ in range(40):
        if not Path(f"/proc/{pid}").exists():
            return
        time.sleep(0.25)
    _kill(pid)
