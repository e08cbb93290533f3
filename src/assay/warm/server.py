"""The process whose copies are the stages of a local run, once it has loaded libraries.

Three processes have to do with a job. The client, which Snakemake started, waits. An attendant, a copy of the server,
forwards signals and tells the client how the job ended. The job itself is a copy of the attendant. When the client is
gone the attendant kills the job; when the attendant is gone the kernel does. The server may end at any time.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import os
import runpy
import select
import signal
import socket
import sys
import threading
from dataclasses import dataclass
from typing import NoReturn

from assay.warm.client import LENGTH, peer_user

OPEN_FILES = 3  # standard input, output, error
SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


@dataclass(frozen=True)
class Job:
    """A program and its words, the folder and environment that it runs in, and its open files."""

    words: list[str]
    folder: bytes
    environment: dict[bytes, bytes]
    files: list[int]


def listen(name: str) -> socket.socket:
    """The socket of a server; an `OSError` where there is one of this name. The name is Linux's, and no file."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(f"\0{name}")
    listening.listen(128)
    return listening


def detach() -> None:
    """Leave the job that started the server: its session, its open files, and the process that it waits for."""
    if os.fork():
        os._exit(0)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(OPEN_FILES):
        os.dup2(nothing, number)


def serve(listening: socket.socket, run: int) -> None:
    """Serve until the process of the run ends. A copy ends with its program, or raises what the program raises."""
    end_of_run = os.pidfd_open(run)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # attendants leave no zombies
    gc.collect()
    gc.freeze()  # what is loaded is never garbage: copies need not look at it, nor copy its pages
    while listening in select.select([listening, end_of_run], [], [])[0]:
        connection, _ = listening.accept()
        if peer_user(connection) == os.getuid() and not os.fork():
            listening.close()
            os.close(end_of_run)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _run(_attend(connection))
        connection.close()


def _attend(connection: socket.socket) -> Job:
    """See a job through to its end. Returns in the copy that is the job, which holds the connection while it lives."""
    job = _receive(connection)
    attendant, pid = os.getpid(), os.fork()
    if not pid:
        ctypes.CDLL(None).prctl(SET_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != attendant:
            os._exit(1)
        os.set_inheritable(connection.detach(), False)  # stays open
        return job
    os.setpgid(pid, pid)
    for file in job.files:
        os.close(file)
    ended = os.pidfd_open(pid)
    while ended not in select.select([connection, ended], [], [])[0]:
        told = connection.recv(1)
        if not told:
            os.killpg(pid, signal.SIGKILL)
            os._exit(0)
        os.kill(pid, told[0])
    _, status, used = os.wait4(pid, 0)
    cpu, memory = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    with contextlib.suppress(OSError):
        connection.sendall(f"{os.waitstatus_to_exitcode(status)} {cpu:.2f} {memory:.2f}".encode())
    os._exit(0)


def _receive(connection: socket.socket) -> Job:
    """The job that a client sends; this process ends where the client does not send it all."""
    head, files, _, _ = socket.recv_fds(connection, LENGTH.size, OPEN_FILES)
    with connection.makefile("rb") as stream:
        (length,) = LENGTH.unpack(head) if len(head) == LENGTH.size else (0,)
        content = stream.read(length)
    if not length or len(content) < length:
        os._exit(0)
    folder, count, *texts = content.split(b"\0")
    words, settings = texts[: int(count)], texts[int(count) :]
    environment = dict(setting.split(b"=", 1) for setting in settings)
    return Job([os.fsdecode(word) for word in words], folder, environment, files)


def _run(job: Job) -> NoReturn:
    """Run a job's program as Python would, to the end of this process, or to what the program raises."""
    for number, file in enumerate(job.files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(job.folder)
    served = _named_paths()
    os.environb.clear()
    os.environb.update(job.environment)
    rest = [path for path in sys.path if path not in served]
    sys.path[:] = [os.path.dirname(os.path.abspath(job.words[0])), *_named_paths(), *rest]
    sys.argv[:] = job.words
    importlib.invalidate_caches()
    runpy.run_path(job.words[0], run_name="__main__")
    _end_well()


def _end_well() -> NoReturn:
    """End as Python does, but do not take apart all that is loaded: that takes longer than the start."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _named_paths() -> list[str]:
    """The folders of modules that the environment names."""
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
