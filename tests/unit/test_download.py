"""Downloads from a server on this machine that fails in every way: whole and verified, or not there."""

import hashlib
import json
import resource
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from assay.data import download
from assay.data.download import fetch
from assay.files import AssayError

CONTENT = np.random.default_rng(0).bytes(300_000)
HASH = hashlib.sha256(CONTENT).hexdigest()
CUT = 100_000
NAME = "file.gz"

Answer = Callable[["Handler", int], None]


class Handler(BaseHTTPRequestHandler):
    """Hands each request to the server's next answer; the last one is for all that follow."""

    def do_GET(self) -> None:
        server = self.server
        requested = self.headers.get("Range", "")
        server.requests.append((self.path, requested))
        answer = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
        answer(self, int(requested.removeprefix("bytes=").removesuffix("-") or 0))

    def reply(self, status: int, body: bytes, **headers: object) -> None:
        self.send_response(status)
        for key, value in ({"Content_Length": len(body)} | headers).items():
            self.send_header(key.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


def whole(handler: Handler, start: int) -> None:
    """As a good server answers."""
    part(handler, start, len(CONTENT))


def part(handler: Handler, start: int, stop: int, content: bytes = CONTENT, tag: str = '"1"') -> None:
    """Announces all from `start` on and sends what is before `stop`."""
    headers = {"Content_Length": len(content) - start, "ETag": tag}
    if start >= len(content):
        handler.reply(416, b"", Content_Range=f"bytes */{len(content)}")
    elif start:
        place = f"bytes {start}-{len(content) - 1}/{len(content)}"
        handler.reply(206, content[start:stop], Content_Range=place, **headers)
    else:
        handler.reply(200, content[:stop], **headers)


def dropped(handler: Handler, start: int) -> None:
    """Ends the connection after `CUT` bytes."""
    part(handler, start, start + CUT)
    handler.close_connection = True


def without_ranges(handler: Handler, start: int) -> None:
    handler.reply(200, CONTENT)


def wrong(handler: Handler, start: int) -> None:
    part(handler, start, len(CONTENT), content=CONTENT[::-1])


def status(code: int) -> Answer:
    return lambda handler, start: handler.reply(code, b"no")


@pytest.fixture
def serve():
    """Starts servers; `serve(answer, …)` is the address of a mirror, `serve.requests` what it was asked."""
    running = []

    def start(*answers: Answer) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.answers, server.requests = list(answers), start.requests
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        running.append(server)
        return f"http://127.0.0.1:{server.server_port}/files/"

    start.requests = []
    yield start
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch) -> None:
    monkeypatch.setattr(download, "BLOCK", 10_000)
    monkeypatch.setattr(download, "TIMEOUT", 5.0)
    monkeypatch.setattr(download, "LONGEST_PAUSE", 0.01)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / NAME


def get(path: Path, *mirrors: str, expected: str = HASH) -> None:
    fetch(path, mirrors, expected)


def refusal(path: Path, *mirrors: str, **more) -> str:
    with pytest.raises(AssayError) as caught:
        get(path, *mirrors, **more)
    assert "\n" not in str(caught.value)
    assert not path.exists()
    return str(caught.value)


def beside(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.iterdir())


def test_a_file_is_fetched_whole(serve, path: Path) -> None:
    get(path, serve(whole))
    assert path.read_bytes() == CONTENT
    assert beside(path) == [NAME]
    assert serve.requests == [(f"/files/{NAME}", "")]


def test_a_file_of_which_only_the_md5_is_published_is_verified_by_that(serve, path: Path) -> None:
    md5, other = hashlib.md5(CONTENT).hexdigest(), hashlib.md5(b"other").hexdigest()
    assert f"MD5 {md5}, expected {other}; set aside" in refusal(path, serve(whole), expected=other)
    get(path, serve(whole), expected=md5)
    assert path.read_bytes() == CONTENT


def test_a_file_that_is_there_is_verified_and_not_asked_for(serve, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    get(path, serve(whole))
    assert serve.requests == []


def test_a_dropped_connection_is_gone_on_with(serve, path: Path) -> None:
    get(path, serve(dropped))
    assert path.read_bytes() == CONTENT
    assert [requested for _, requested in serve.requests] == ["", "bytes=100000-", "bytes=200000-"]


def test_more_drops_than_attempts_do_no_harm_while_bytes_come(serve, path: Path, monkeypatch) -> None:
    monkeypatch.setattr(download, "ATTEMPTS", 2)
    get(path, serve(lambda handler, start: (part(handler, start, start + 20_000), handler.close())))
    assert path.read_bytes() == CONTENT
    assert len(serve.requests) == 15


def test_a_download_goes_on_in_another_run(serve, path: Path) -> None:
    message = refusal(path, serve(dropped, status(503)))
    assert f"(what has come is kept in .{NAME}.partial)" in message
    serve.requests.clear()
    get(path, serve(whole))
    assert serve.requests == [(f"/files/{NAME}", "bytes=100000-")]
    assert path.read_bytes() == CONTENT
    assert beside(path) == [NAME]


def test_a_server_that_refuses_ranges_is_begun_anew(serve, path: Path) -> None:
    get(path, serve(dropped, without_ranges))
    assert path.read_bytes() == CONTENT


def test_a_server_that_says_nothing_of_the_length_is_trusted_to_the_hash(serve, path: Path) -> None:
    def endless(handler: Handler, start: int) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(CONTENT)
        handler.close_connection = True

    get(path, serve(endless))
    assert path.read_bytes() == CONTENT


def test_a_file_that_changed_on_the_server_is_begun_anew(serve, path: Path) -> None:
    def older(handler: Handler, start: int) -> None:
        part(handler, start, CUT, content=CONTENT[::-1], tag='"0"')

    get(path, serve(older, whole))
    assert path.read_bytes() == CONTENT
    assert [requested for _, requested in serve.requests] == ["", "bytes=100000-", ""]


def test_a_part_of_a_longer_file_is_begun_anew(serve, path: Path) -> None:
    path.parent.mkdir()
    mirror = serve(whole)
    (path.parent / f".{NAME}.partial").write_bytes(CONTENT + b"0")
    note = '{"url": "%s", "tag": "\\"1\\"", "length": 900000}' % (mirror + NAME)
    (path.parent / f".{NAME}.partial.json").write_text(note)
    get(path, mirror)
    assert path.read_bytes() == CONTENT


def test_a_part_of_which_nothing_is_known_is_not_used(serve, path: Path) -> None:
    path.parent.mkdir()
    (path.parent / f".{NAME}.partial").write_bytes(b"0" * CUT)
    get(path, serve(whole))
    assert path.read_bytes() == CONTENT
    assert [requested for _, requested in serve.requests] == [""]


def test_a_whole_file_that_a_killed_run_had_not_yet_put_in_place_is_not_fetched_again(serve, path: Path) -> None:
    path.parent.mkdir()
    (path.parent / f".{NAME}.partial").write_bytes(CONTENT)
    (path.parent / f".{NAME}.partial.json").write_text('{"url": "x", "tag": null, "length": 300000}')
    get(path, serve(whole))
    assert path.read_bytes() == CONTENT
    assert serve.requests == []


def test_the_next_mirror_is_asked_where_one_has_no_such_file(serve, path: Path) -> None:
    get(path, serve(status(404)), serve(whole))
    assert path.read_bytes() == CONTENT
    assert len(serve.requests) == 2


def test_the_next_mirror_goes_on_where_one_failed(serve, path: Path) -> None:
    get(path, serve(dropped, status(500)), serve(whole))
    assert path.read_bytes() == CONTENT
    assert [requested for _, requested in serve.requests] == ["", "bytes=100000-", "bytes=100000-"]


def test_a_mirror_with_a_file_of_another_length_costs_nothing_that_has_come(serve, path: Path) -> None:
    def longer(handler: Handler, start: int) -> None:
        part(handler, start, len(CONTENT) + 5, content=CONTENT + b"other")

    get(path, serve(dropped, status(500), whole), serve(longer))
    assert path.read_bytes() == CONTENT
    assert [requested for _, requested in serve.requests] == ["", *["bytes=100000-"] * 3]


def test_a_wrong_file_is_set_aside_and_the_next_mirror_begun_anew(serve, path: Path, capsys) -> None:
    get(path, serve(wrong), serve(whole))
    assert path.read_bytes() == CONTENT
    assert [requested for _, requested in serve.requests] == ["", ""]
    other = hashlib.sha256(CONTENT[::-1]).hexdigest()
    assert f"SHA-256 {other}, expected {HASH}; set aside as {NAME}.rejected" in capsys.readouterr().err


def test_a_wrong_file_of_the_only_mirror_is_one_line_with_both_hashes(serve, path: Path) -> None:
    mirror = serve(wrong)
    message = refusal(path, mirror)
    other = hashlib.sha256(CONTENT[::-1]).hexdigest()
    assert message == (
        f"{path}: could not be fetched: {mirror}{NAME}: SHA-256 {other}, expected {HASH}; "
        f"set aside as {NAME}.rejected; run again, add a mirror to images.mirrors, or, without a network, "
        f"put the file with SHA-256 {HASH} into {path.parent} yourself"
    )
    assert len(serve.requests) == 1
    assert beside(path) == [f"{NAME}.rejected"]


def test_a_wrong_part_costs_one_whole_download_and_not_the_mirror(serve, path: Path) -> None:
    path.parent.mkdir()
    mirror = serve(whole)
    (path.parent / f".{NAME}.partial").write_bytes(b"0" * CUT)
    note = '{"url": "%s", "tag": "\\"1\\"", "length": 300000}' % (mirror + NAME)
    (path.parent / f".{NAME}.partial.json").write_text(note)
    get(path, mirror)
    assert path.read_bytes() == CONTENT
    assert [requested for _, requested in serve.requests] == ["bytes=100000-", ""]


def test_a_wrong_file_that_lay_there_is_set_aside_and_kept(serve, path: Path, capsys) -> None:
    path.parent.mkdir()
    path.write_bytes(b"mine")
    get(path, serve(whole))
    assert path.read_bytes() == CONTENT
    assert (path.parent / f"{NAME}.rejected").read_bytes() == b"mine"
    assert f"expected {HASH}; set aside as {NAME}.rejected" in capsys.readouterr().err


def test_without_a_network_the_message_says_what_to_do(path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        mirror = f"http://127.0.0.1:{free.getsockname()[1]}/"
    message = refusal(path, mirror)
    assert message.startswith(f"{path}: could not be fetched: {mirror}{NAME}: ")
    assert message.endswith(f"or, without a network, put the file with SHA-256 {HASH} into {path.parent} yourself")


def test_a_server_that_stands_still_is_left(serve, path: Path, monkeypatch) -> None:
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    stop = threading.Event()
    get(path, serve(lambda handler, start: stop.wait(10)), serve(whole))
    stop.set()
    assert path.read_bytes() == CONTENT


def test_a_server_that_never_comes_further_is_given_up(serve, path: Path) -> None:
    def stuck(handler: Handler, start: int) -> None:
        handler.reply(200, CONTENT[:CUT], Content_Length=len(CONTENT))
        handler.close_connection = True

    message = refusal(path, serve(stuck))
    assert "the connection ended after 100000 of 300000 bytes" in message
    assert len(serve.requests) == 1 + download.ATTEMPTS


def test_a_full_disk_is_no_fault_of_the_server(serve, path: Path) -> None:
    """Under a limit on the size of files, which fails as a full disk does."""
    mirror, before = serve(whole), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (CUT, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            get(path, mirror)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.filename == str(path.parent / f".{NAME}.partial")
    assert len(serve.requests) == 1


def test_two_processes_that_want_one_file_download_it_once(serve, path: Path) -> None:
    second_waits = threading.Event()

    def whole_in_the_end(handler: Handler, start: int) -> None:
        second_waits.wait(60)
        whole(handler, start)

    script = Path(__file__).parents[2] / "workflow/stages/fetch_images.py"
    spec = json.dumps({"file": NAME, "checksum": HASH})
    mirror = serve(whole_in_the_end)
    command = [sys.executable, script, "--spec", spec, "--mirrors", mirror, "--out", path.parent]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.stderr for process in processes]
    ready, _, _ = select.select(said, [], [], 60)
    assert ready[0].readline() == f"{path}: waiting for another process that fetches it\n"
    second_waits.set()
    assert [process.wait(60) for process in processes] == [0, 0]
    assert path.read_bytes() == CONTENT
    assert beside(path) == [NAME]
    assert len(serve.requests) == 1
