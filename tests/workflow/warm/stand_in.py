"""What `python` is in the workflow tests: Snakemake and the stages go to the warm server, all else to the real Python."""

import array
import json
import os
import signal
import socket
import sys


def main() -> None:
    words = sys.argv[1:]
    python, name = os.environ["ASSAY_WARM_PYTHON"], os.environ["ASSAY_WARM_SOCKET"]
    stage = bool(words) and "/stages/" in words[0] and os.path.isfile(words[0])
    if not stage and words[:2] != ["-m", "snakemake"]:
        os.execv(python, [python, *words])
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.connect(f"\0{name}")
    job = {"words": words, "folder": os.getcwd(), "environment": dict(os.environ)}
    files = array.array("i", (0, 1, 2))
    server.sendmsg([b"{"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
    server.sendall(json.dumps(job)[1:].encode() + b"\n")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: server.sendall(bytes([number])))
    answer = server.recv(64)
    status = json.loads(answer) if answer else 1
    if status < 0:  # it was ended by a signal
        if -status in (signal.SIGTERM, signal.SIGINT):
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


main()
