"""Stages as copies of a warm process: they are like programs of their own, and no two of them do the same job."""

import ast
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from assay.planning.fingerprint import ROOT, STAGES, reachable, running
from assay.planning.interpreter import CLIENT, WARM, warm_prefix
from assay.planning.past import BENCHMARKS, Times, read_times
from assay.reporting.read import read_benchmarks
from assay.warm import client
from assay.warm.usage import Usage, read_usage

SERVE = """
import os, sys
from assay.warm import server
listening = server.listen(sys.argv[1])
print("ready", flush=True)
os.getuid = lambda user=os.getuid() + int(sys.argv[3]): user
server.serve(listening, int(sys.argv[2]))
"""
PATIENCE = 120.0  # seconds until a test gives up, on however busy a machine
WARM_LINE = re.compile(r"warm start: [0-9.]+ s of CPU time, at most [0-9.]+ MB of memory\n")
WAITS = "import os, time; open({note!r}, 'a').write(f'{{os.getpid()}} '); time.sleep(1000)\n"

# A process that is ending, whose files are closed, may still be listed: then Linux says so in its flags (PF_EXITING).
IS_ENDING = """
try:
    fields = open("/proc/" + open("note").read().strip() + "/stat").read().rsplit(")", 1)[1].split()
    print(bool(int(fields[6]) & 4))
except (FileNotFoundError, ProcessLookupError):
    print(True)
"""


@dataclass
class Warm:
    """A server without libraries, for a run that is another process, and programs that clients bring to it."""

    name: str
    folder: Path
    run: subprocess.Popen
    server: subprocess.Popen

    def program(self, text: str) -> Path:
        path = self.folder / "report.py"  # the name of a stage for which no server is started
        path.write_text(text)
        return path

    def start(self, text: str, *words: str, **more: str) -> subprocess.Popen:
        command = [sys.executable, "-IS", str(CLIENT), self.name, str(self.run.pid), str(self.program(text)), *words]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, cwd=self.folder, env=os.environ | more, text=True, **pipes)

    def ends(self, text: str, *words: str, **more: str) -> tuple[int, str, str]:
        process = self.start(text, *words, **more)
        output, errors = process.communicate("told\n")
        return process.returncode, output, errors

    def waiting(self) -> tuple[subprocess.Popen, int]:
        """A client whose job waits for ever, and the job's process."""
        note = self.folder / "note"
        process = self.start(WAITS.format(note=str(note)))
        wait_until(lambda: note.is_file() and note.read_text().endswith(" "))
        return process, int(note.read_text())


def serving(folder: Path, foreign: int = 0) -> Iterator[Warm]:
    """A server, to whom all users are `foreign` if that is not zero."""
    name = f"assay-warm-test-{os.getpid()}-{time.monotonic_ns()}"
    run = subprocess.Popen(["sleep", "1000"])
    command = [sys.executable, "-c", SERVE, name, str(run.pid), str(foreign)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    server.stdout.readline()
    yield Warm(name, folder, run, server)
    run.kill()
    run.wait()
    server.wait()


@pytest.fixture
def warm(tmp_path: Path) -> Iterator[Warm]:
    yield from serving(tmp_path)


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[Warm]:
    yield from serving(tmp_path, foreign=1)


def wait_until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


def lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[1])


def test_a_copy_has_the_words_folder_environment_and_files_of_its_client(warm: Warm) -> None:
    text = "import os, sys; print(sys.argv[1:], os.getcwd(), os.environ['MORE'], __name__, input(), file=sys.stdout)"
    status, output, errors = warm.ends(text, "a b", "", "ü", MORE="x=y")
    assert (status, output) == (0, f"['a b', '', 'ü'] {warm.folder} x=y __main__ told\n")
    assert WARM_LINE.fullmatch(errors)


def test_a_copy_loads_the_code_that_is_there_now(warm: Warm) -> None:
    for text in ("one", "another one"):
        (warm.folder / "own.py").write_text(f"WORD = {text!r}\n")
        assert warm.ends("import own; print(own.WORD)")[1] == f"{text}\n"


def test_a_copy_finds_the_modules_that_its_environment_names(warm: Warm) -> None:
    elsewhere = warm.folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "own.py").write_text("WORD = 'elsewhere'\n")
    assert warm.ends("import own; print(own.WORD)", PYTHONPATH=str(elsewhere))[1] == "elsewhere\n"


@pytest.mark.parametrize(
    ("text", "status", "last"),
    [
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit('a message')", 1, "a message"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero"),
        ("import os; os.kill(os.getpid(), 9)", -9, ""),
        ("import os; os.abort()", -6, ""),
    ],
)
def test_a_copy_ends_as_a_program_would(warm: Warm, text: str, status: int, last: str) -> None:
    ended, _, errors = warm.ends(text)
    assert (ended, errors.strip().split("\n")[-1]) == (status, last)


def test_a_copy_that_ends_runs_its_exit_functions_and_waits_for_its_threads(warm: Warm) -> None:
    text = """
import atexit, threading, time
atexit.register(print, "last")
threading.Thread(target=lambda: (time.sleep(0.1), print("first"))).start()
"""
    assert warm.ends(text)[:2] == (0, "first\nlast\n")


def test_signals_reach_the_copy(warm: Warm) -> None:
    text = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(130))
print("ready", flush=True)
time.sleep(1000)
"""
    process = warm.start(text)
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    process.communicate()
    assert process.returncode == 130


def test_a_copy_ends_with_its_client(warm: Warm) -> None:
    process, job = warm.waiting()
    process.kill()
    process.communicate()
    wait_until(lambda: not lives(job))


def test_client_copy_and_server_end_with_the_run(warm: Warm) -> None:
    process, job = warm.waiting()
    warm.run.kill()
    warm.run.wait()
    process.communicate()
    assert process.returncode == 1
    wait_until(lambda: not lives(job))
    assert warm.server.wait(PATIENCE) == 0


def test_a_job_outlives_the_server_and_the_next_has_an_interpreter_of_its_own(warm: Warm) -> None:
    process = warm.start("print(input(), flush=True); print(input())")
    process.stdin.write("one\n")
    process.stdin.flush()
    assert process.stdout.readline() == "one\n"
    warm.server.kill()
    warm.server.wait()
    output, errors = process.communicate("two\n")
    assert (process.returncode, output) == (0, "two\n")
    assert WARM_LINE.fullmatch(errors)
    assert warm.ends("print('alone')") == (0, "alone\n", "")


def test_a_job_whose_attendant_is_killed_starts_again_once_its_first_process_is_gone(warm: Warm) -> None:
    process, job = warm.waiting()
    warm.program(IS_ENDING)
    os.kill(parent(job), signal.SIGKILL)
    output, errors = process.communicate()
    assert (process.returncode, output) == (0, "True\n")
    assert "it starts again" in errors


def test_a_server_does_not_serve_another_user(foreign: Warm) -> None:
    status, output, errors = foreign.ends("print(input())")
    assert (status, output) == (0, "told\n")
    assert not WARM_LINE.search(errors)


def test_a_client_gives_nothing_to_a_server_of_another_user(warm: Warm, monkeypatch: pytest.MonkeyPatch) -> None:
    with client._connect(warm.name, warm.run.pid, may_start=False) as connection:
        assert client.peer_user(connection) == os.getuid()
    user = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: user + 1)
    with pytest.raises(PermissionError):
        client._connect(warm.name, warm.run.pid, may_start=False)


def test_half_a_job_is_not_run(warm: Warm) -> None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(f"\0{warm.name}")
    socket.send_fds(connection, [client.LENGTH.pack(100)], [0, 1, 2])
    connection.sendall(b"half")
    connection.shutdown(socket.SHUT_WR)
    assert connection.recv(1) == b""
    assert warm.ends("print('next')")[1] == "next\n"


def test_without_a_server_a_light_stage_starts_none(tmp_path: Path) -> None:
    nobody = Warm(f"assay-warm-test-nobody-{os.getpid()}", tmp_path, subprocess.Popen(["sleep", "1000"]), None)
    assert nobody.ends("print('alone')") == (0, "alone\n", "")
    nobody.run.kill()
    nobody.run.wait()


def test_the_stages_that_start_no_server_are_those_that_load_no_torch() -> None:
    stages = [path.name for path in (ROOT / STAGES).glob("*.py")]
    started_by_planning = {"measure_networks.py", "try_networks.py"}
    light = {name for name in stages if not any(map(imports_torch, reachable(STAGES + name)))}
    assert light - started_by_planning == set(client.LIGHT)


def imports_torch(path: Path) -> bool:
    nodes = running(ast.parse(path.read_text(encoding="utf-8")))
    named = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    named += [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return any(name.split(".")[0] == "torch" for name in named)


LOADED = """
import os, sys
from assay.networks import preload
preload.load()
print(len(os.listdir("/proc/self/task")), [name for name in sys.modules if name.split(".")[0] == "assay"])
"""
ASKED = """
import torch.cuda
asked = []
for name in ("is_available", "device_count", "_lazy_init"):
    setattr(torch.cuda, name, lambda *_, name=name: asked.append(name))
from assay.networks import preload
preload.load()
print(asked)
"""


@pytest.mark.parametrize(("text", "said"), [(LOADED, "1 []\n"), (ASKED, "[]\n")])
def test_loading_starts_no_thread_asks_for_no_gpu_and_keeps_no_code_of_ours(text: str, said: str) -> None:
    limits = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {name: value for name, value in os.environ.items() if name not in limits}
    command = [sys.executable, "-c", text]
    assert subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout == said


def test_a_prefix_defines_python_and_keeps_what_snakemake_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.delenv(WARM, raising=False)
    prefix = warm_prefix()
    assert prefix.startswith("set -euo pipefail; python() (exec ")
    assert prefix != warm_prefix(), "two runs would share a server"
    command = f"{prefix} python -c 'import sys; print(sys.argv[1:])' 'a b' | cat"
    assert subprocess.check_output(["bash", "-c", command], text=True) == "['a b']\n"
    failing = f"{prefix} python -c 'raise SystemExit(3)' | cat"
    assert subprocess.run(["bash", "-c", failing]).returncode == 3


@pytest.mark.parametrize(("variable", "value"), [("SLURM_JOB_ID", "17"), (WARM, "0")])
def test_there_is_no_prefix_in_slurm_jobs_nor_where_it_is_turned_off(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert warm_prefix() is None


def test_what_a_copy_took_is_read_from_its_log(tmp_path: Path) -> None:
    benchmark, log = tmp_path / BENCHMARKS / "attack/sigma-0.1.tsv", tmp_path / "logs/attack/sigma-0.1.log"
    for path in (benchmark, log):
        path.parent.mkdir(parents=True)
    benchmark.write_text("s\tmax_rss\tcpu_time\n5.0\t3.5\t0.1\n")
    log.write_text("attack: 8/8 images\n")
    assert read_usage(log) is None
    assert read_times(benchmark) == [Times(5.0, 0.1)]
    log.write_text(f"attack: 8/8 images\n{client.USAGE.format(cpu='4.21', memory='312.50')}\n")
    assert read_usage(log) == Usage(4.21, 312.5)
    assert read_times(benchmark) == [Times(5.0, 4.21)]
    assert read_benchmarks(tmp_path / BENCHMARKS)["max_rss"].tolist() == [312.5]
