"""What `python` is in the commands of a local run: a stage becomes a copy of the run's warm process.

    python -IS client.py NAME RUN program words...

NAME is the server's socket, RUN the process of Snakemake. Anything that is no stage, and a stage for which there is no
server or whose server ends, gets an interpreter of its own. This program starts with every job, so it imports little.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import sys
from types import FrameType

SERVER = "assay.networks.preload"
# Stages that load no torch: they are served where a server is running, but are not worth starting one.
LIGHT = (
    *("fetch_images.py", "index_images.py", "check_images.py", "prepare_images.py"),
    *("choose_sigma.py", "summarise.py", "check.py", "report.py"),
)
FORWARDED = (signal.SIGTERM, signal.SIGINT)
LENGTH = struct.Struct("!Q")  # of what follows it
USAGE = "warm start: {cpu} s of CPU time, at most {memory} MB of memory"


def main() -> None:
    """Be the program that the words name, to its end."""
    name, run, *words = sys.argv[1:]
    if words and words[0].endswith(".py") and os.path.isfile(words[0]):
        with contextlib.suppress(OSError):
            _be_served(name, int(run), words)
    os.execv(sys.executable, [sys.executable, *words])


def peer_user(connection: socket.socket) -> int:
    """The user whose process is at the other end of a Unix socket."""
    return struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]


def _be_served(name: str, run: int, words: list[str]) -> None:
    """Have a server's copy run the program, and end as it ends. Returns only when no process runs it any more."""
    end_of_run = os.pidfd_open(run)
    connection = _connect(name, run, may_start=os.path.basename(words[0]) not in LIGHT)
    told: list[int] = []

    def tell(number: int, frame: FrameType | None) -> None:
        told.append(number)
        with contextlib.suppress(OSError):
            connection.sendall(bytes([number]))

    job = _packed(words)
    socket.send_fds(connection, [LENGTH.pack(len(job))], [0, 1, 2])
    connection.sendall(job)
    for number in FORWARDED:
        signal.signal(number, tell)
    ready, _, _ = select.select([connection, end_of_run], [], [])
    if connection not in ready:
        os._exit(1)  # Snakemake was killed: the job ends with this process
    # The copy holds the connection too, so that its end, without an answer, is the end of every process of the job.
    try:
        answer = connection.recv(64)
    except ConnectionError:
        answer = b""
    if answer:
        _end(*answer.decode().split())
    if told:
        _end_by(told[-1])
    if select.select([end_of_run], [], [], 0)[0]:
        os._exit(1)
    os.write(2, b"warm start: the job's process was lost; it starts again in one of its own\n")


def _connect(name: str, run: int, may_start: bool) -> socket.socket:
    """A connection to the run's server, which is started if it may be and there is none."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(f"\0{name}")
    except ConnectionRefusedError:
        if not may_start:
            raise
        os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-P", "-m", SERVER, name, str(run)])
        connection.connect(f"\0{name}")
    if peer_user(connection) != os.getuid():
        raise PermissionError("the server is another user's")
    return connection


def _packed(words: list[str]) -> bytes:
    """A job as bytes: its folder, how many words, the words, the environment."""
    environment = [name + b"=" + value for name, value in os.environb.items()]
    return b"\0".join([os.getcwdb(), b"%d" % len(words), *map(os.fsencode, words), *environment])


def _end(status: str, cpu: str, memory: str) -> None:
    if int(status) < 0:
        _end_by(-int(status))
    if status == "0":
        os.write(2, f"{USAGE.format(cpu=cpu, memory=memory)}\n".encode())
    os._exit(int(status))


def _end_by(number: int) -> None:
    """End by a signal, as the job did."""
    if number in FORWARDED:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(1)  # by a signal that ends nobody


if __name__ == "__main__":
    main()
