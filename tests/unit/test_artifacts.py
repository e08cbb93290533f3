"""Artifacts are written whole, told apart by key and seal, mended after a kill, and not made again."""

import contextlib
import json
import os
from pathlib import Path

import pytest

from assay import artifacts
from assay.artifacts import Wanted, finish_moving
from assay.files import AssayError
from assay.inputs import parse_inputs
from assay.manifests import check, faults, read_manifest, sealed

BY = {"versions": {"python": "3"}, "device": "cpu"}


def wanted(place: Path, spec: dict | None = None, code: str = "c", **inputs: Path) -> Wanted:
    return Wanted(
        place, "thing", spec or {"a": 1}, code, {role: path / "manifest.json" for role, path in inputs.items()}
    )


def make(place: Path, text: str = "hello", **more) -> None:
    with wanted(place, **more).write(BY) as draft:
        draft.path("one.txt").write_text(text)
        draft.path("sub/two.txt").write_text(text[::-1])


class Killed(BaseException):
    """What no code catches."""


def test_every_bit_of_a_manifest_counts(tmp_path: Path) -> None:
    make(tmp_path / "a")
    path = tmp_path / "a/manifest.json"
    content = path.read_bytes()
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        with pytest.raises(AssayError, match=r"manifest\.json: .*; delete it and run again"):
            read_manifest(tmp_path / "a")


@pytest.mark.parametrize(
    "content", [b"", b"null", b"[]", b"{", b"\xff\xfe", b'{"files": 1}', b"[" * 5000, b'{"a": NaN}']
)
def test_what_is_no_manifest_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(AssayError) as caught:
        read_manifest(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["kind", "key", "spec", "inputs", "files"])
def test_a_manifest_that_was_sealed_anew_must_have_its_form(tmp_path: Path, name: str) -> None:
    make(tmp_path / "a")
    path = tmp_path / "a/manifest.json"
    manifest = {**json.loads(path.read_text()), name: 1}
    path.write_bytes(sealed(manifest))
    with pytest.raises(AssayError, match=f"has no valid {name}"):
        read_manifest(tmp_path / "a")


def test_the_key_is_known_before_anything_is_made_and_the_seal_says_what_came_out(tmp_path: Path) -> None:
    for folder, text in (("a", "hello"), ("b", "hullo")):
        make(tmp_path / folder, text)
    a, b = (read_manifest(tmp_path / folder) for folder in "ab")
    assert a["key"] == b["key"] == wanted(tmp_path / "c").key
    assert a["seal"] != b["seal"]
    assert len({a["key"], wanted(tmp_path, {"a": 2}).key, wanted(tmp_path, code="d").key}) == 3
    assert wanted(tmp_path, of=tmp_path / "a").key == wanted(tmp_path, of=tmp_path / "b").key != a["key"]


def test_what_is_there_is_kept_and_what_is_not_quite_it_is_not(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    make(tmp_path / "in")
    make(tmp_path / "a", of=tmp_path / "in")
    assert wanted(tmp_path / "a", of=tmp_path / "in").is_there()
    assert "is there already, as wanted; kept" in capsys.readouterr().err
    assert not wanted(tmp_path / "a", {"a": 2}, of=tmp_path / "in").is_there()
    assert not wanted(tmp_path / "a", code="d", of=tmp_path / "in").is_there()
    make(tmp_path / "in", "another")
    assert not wanted(tmp_path / "a", of=tmp_path / "in").is_there(), "its input has the same key, but is another"
    make(tmp_path / "in")
    (tmp_path / "a/one.txt").write_text("hallo")
    assert not wanted(tmp_path / "a", of=tmp_path / "in").is_there(), "damaged"


@pytest.mark.parametrize("moves", range(6))
def test_a_kill_between_two_moves_is_noticed_and_mended(tmp_path: Path, monkeypatch, moves: int) -> None:
    """Two files, the old manifest and the new: whenever the kill comes, the old is whole, or the new will be."""
    place, real = tmp_path / "a", {"replace": os.replace, "unlink": Path.unlink, "rename": Path.rename}
    make(place, "older")
    make(tmp_path / "new", "newer")
    done = 0

    def counted(name: str):
        def call(*arguments, **options):
            nonlocal done
            if done == moves:
                raise Killed
            done += 1
            return real[name](*arguments, **options)

        return call

    monkeypatch.setattr(artifacts.os, "replace", counted("replace"))
    monkeypatch.setattr(Path, "unlink", counted("unlink"))
    monkeypatch.setattr(Path, "rename", counted("rename"))
    with contextlib.suppress(Killed):
        make(place, "newer")
    monkeypatch.undo()
    if moves == 0:
        assert faults(place) == []
        assert (place / "one.txt").read_text() == "older"
        return
    if moves < 5:
        with pytest.raises(AssayError, match=r"run (again|the stage)|was being replaced"):
            check(place)
    finish_moving(place)
    assert faults(place) == []
    assert (place / "manifest.json").read_bytes() == (tmp_path / "new/manifest.json").read_bytes()
    assert sorted(path.name for path in place.iterdir()) == ["manifest.json", "one.txt", "sub"]


def test_files_that_the_new_artifact_lacks_go_with_the_old(tmp_path: Path) -> None:
    make(tmp_path / "a")
    with wanted(tmp_path / "a", {"a": 2}).write(BY) as draft:
        draft.path("one.txt").write_text("alone")
    assert not (tmp_path / "a/sub/two.txt").exists()


def test_what_a_network_without_weights_leaves_to_do_is_an_artifact_without_files(tmp_path: Path) -> None:
    with wanted(tmp_path / "unet").write(BY) as draft:
        draft.facts["diverged"] = {"step": 3}
    purify = Wanted(tmp_path / "stack", "stack", {}, "c", {"diffusion": tmp_path / "unet/manifest.json"})
    assert purify.is_there()
    classify = Wanted(tmp_path / "scores", "scores", {}, "c", {"images": tmp_path / "stack/manifest.json"})
    assert classify.is_there()
    assert check(tmp_path / "scores")["facts"] == {"unmade": "its diffusion could not be trained: diverged at step 3"}
    assert check(tmp_path / "scores")["files"] == {}
    assert not Wanted(tmp_path / "other", "tables", {}, "c", purify.inputs).is_there(), "tables tell of it"


def test_several_artifacts_share_a_folder_under_manifests_of_their_own(tmp_path: Path) -> None:
    for name in ("first", "second"):
        with wanted(tmp_path / f"{name}.manifest.json").write(BY) as draft:
            draft.path(f"{name}.csv").write_text(name)
    assert set(check(tmp_path / "first.manifest.json", "thing")["files"]) == {"first.csv"}
    assert faults(tmp_path / "second.manifest.json") == []


def test_facts_that_are_no_json_touch_nothing(tmp_path: Path) -> None:
    make(tmp_path / "a")

    def overflow() -> None:
        with wanted(tmp_path / "a").write(BY) as draft:
            draft.path("one.txt").write_text("other")
            draft.facts["loss"] = float("inf")

    with pytest.raises(ValueError, match="JSON compliant"):
        overflow()
    assert faults(tmp_path / "a") == []


def test_what_another_study_has_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for study in ("one", "two"):
        make(Path("results") / study / "images/test")
    images = {study: Path(f"results/{study}/images/test") for study in ("one", "two")}
    make(Path("results/one/classifiers/small"), images=images["one"])
    make(Path("results/one/scores/small/clean"), images=images["one"])
    renamed = wanted(Path("results/two/classifiers/tiny"), images=images["two"])
    assert renamed.is_there(), "a network may have another name"
    assert os.path.samefile("results/one/classifiers/small/one.txt", "results/two/classifiers/tiny/one.txt")
    assert wanted(Path("results/two/scores/small/clean"), images=images["two"]).is_there()
    assert not wanted(Path("results/two/scores/tiny/clean"), images=images["two"]).is_there(), "elsewhere"
    make(images["two"], "other images")
    assert not wanted(Path("results/two/classifiers/third"), images=images["two"]).is_there()


def test_inputs_that_are_not_those_that_were_planned_are_refused(tmp_path: Path) -> None:
    make(tmp_path / "a")
    folders = json.dumps({"images": str(tmp_path / "a")})
    key = read_manifest(tmp_path / "a")["key"]
    assert parse_inputs(folders, json.dumps({"images": key})).folder("images") == tmp_path / "a"
    with pytest.raises(AssayError, match=r"a: is not what the study wants as 'images' \(changed or swapped"):
        parse_inputs(folders, json.dumps({"images": "0" * 32}))


def test_of_many_inputs_one_key_speaks(tmp_path: Path) -> None:
    for name in ("x/clean", "y/clean"):
        make(tmp_path / "scores" / name, name)
    folders = json.dumps({"scores": str(tmp_path / "scores")})
    each = parse_inputs(folders).each("scores", ["x/clean", "y/clean"])
    assert set(each.manifests()) == {"scores/x/clean", "scores/y/clean"}
    with pytest.raises(AssayError, match="as 'scores'"):
        parse_inputs(folders, json.dumps({"scores": "0" * 16})).each("scores", ["x/clean", "y/clean"])
