"""Runs Snakemake and the stages of the workflow tests in copies of one process that has their libraries loaded.

Both spend more of their time on imports than on a study as small as the tests'. In the tests `python` is a small
program (`stand_in.py`) that hands a command over to this server: command line, environment, folder and open files. The
server's copy runs it as Python would: with the checkout's own code, which is never loaded here.
"""

from __future__ import annotations

import array
import contextlib
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
import traceback

LIBRARIES = (
    "pandas",
    "scipy.special",
    "tifffile",
    "safetensors.torch",
    "torchattacks",
    "pydantic",
    "torch.optim.swa_utils",
    "torch._dynamo",
    "snakemake.cli",
)
THROUGH_THE_LIBRARY = ("timm", "diffusers.models.unets.unet_2d")
OPEN_FILES = 3  # standard input, output, error


def main(name: str) -> None:
    """Serve at a socket of Linux's abstract names until the process that started the server ends."""
    parent = os.getppid()
    _load()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(f"\0{name}")
    server.listen(64)
    print("ready", flush=True)
    while os.getppid() == parent:
        if not select.select([server], [], [], 1.0)[0]:
            continue
        connection, _ = server.accept()
        if os.fork():
            connection.close()
            continue
        server.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _attend(connection)


def _load() -> None:
    """Load what stages load, but for the library itself."""
    from assay.networks.libraries import import_library

    for name in THROUGH_THE_LIBRARY:
        import_library(name)
    for name in LIBRARIES:
        importlib.import_module(name)
    for name in [loaded for loaded in sys.modules if loaded.split(".")[0] == "assay"]:
        del sys.modules[name]


def _attend(connection: socket.socket) -> None:
    """Run one program in a copy of this process; the other side hears how it ends, and if that goes away, it is killed."""
    job, files = _receive(connection)
    pid = os.fork()
    if pid == 0:
        connection.close()
        _become(job, files)
    os.setpgid(pid, pid)  # what it starts is ended with it
    ended = os.pidfd_open(pid)
    while True:
        ready, _, _ = select.select([connection, ended], [], [])
        if ended in ready:
            _, status = os.waitpid(pid, 0)
            with contextlib.suppress(OSError):
                connection.sendall(json.dumps(os.waitstatus_to_exitcode(status)).encode())
            os._exit(0)
        told = connection.recv(1)
        if told:
            os.kill(pid, told[0])
        else:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os._exit(0)


def _receive(connection: socket.socket) -> tuple[dict, list[int]]:
    files = array.array("i")
    content, ancillary, _, _ = connection.recvmsg(1 << 20, socket.CMSG_LEN(OPEN_FILES * files.itemsize))
    for _, _, data in ancillary:
        files.frombytes(data)
    while not content.endswith(b"\n"):
        content += connection.recv(1 << 20)
    return json.loads(content), list(files)


def _become(job: dict, files: list[int]) -> None:
    """Be the program of a job, to its end."""
    status = 1
    try:
        for number, file in enumerate(files):
            os.dup2(file, number)
        os.chdir(job["folder"])
        os.environ.clear()
        os.environ.update(job["environment"])
        sys.executable = os.environ["ASSAY_WARM_PYTHON"]
        sys.orig_argv = [sys.executable, *job["words"]]
        sys.path[:] = [*filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), *sys.path[1:]]
        sys.modules.pop("sitecustomize", None)
        with contextlib.suppress(ImportError):
            importlib.import_module("sitecustomize")  # as Python does at its start: see faults/
        _run(job["words"])
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1 if ended.code else 0
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        threading._shutdown()  # as Python does at its end: wait for threads
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _run(words: list[str]) -> None:
    """Run `-m MODULE ...` or `SCRIPT ...`."""
    if words[0] == "-m":
        sys.path.insert(0, os.getcwd())
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, os.path.dirname(os.path.abspath(words[0])))
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1])
