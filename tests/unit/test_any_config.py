"""Whatever a config holds: planning accepts it, or says in one line what is wrong with which key."""

import datetime
import functools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.files import AssayError
from assay.planning.configs import check_configs
from planned import IMAGES, NAME, STUDY, Place, bring_modules, keys_of, planned, put, refusal

FEW, MANY = 60, 300
HUGE = 10**30
LONG = "a" * 300
ANYTHING = (
    *(None, True, False, 0, 1, -1, 3, 0.5, -0.1, 1e308, HUGE, 10**9, float("nan"), float("inf"), float("-inf")),
    *(
        "",
        " ",
        LONG,
        "none",
        "../x",
        "a/b",
        "a b",
        "a{b}",
        "<x>",
        "$(touch x)",
        "a;b&c|d",
        "'\"",
        "a\nb",
        "\0",
        "ü",
        "🐍",
    ),
    *("\ud800", "nan", "1/0", "2/255", "1e400", "9" * 400 + "/3", "selected", "hf-hub:", "mine/part.py", "mine"),
    *([], [None], [[]], ["x", "x"], [0.1, 0.1], [float("nan")], [-1], [HUGE], [1, 2, 3, 4], list(range(30))),
    *({}, {"x": 1}, {1: 2}, {"method": "x"}, {"method": ["x"]}, {"method": "python"}, {"published": "x"}),
    *(datetime.date(2020, 1, 1), b"bytes", {"a": {"b": float("nan")}}, {None: None}),
)
UNKNOWN = ("stpes", "", LONG, "a b", "a\nb", "\0", "{x}", "__use_yte__", 1, None, 0.5, True, ("a", "b"))
WORDS = tuple(value for value in ANYTHING if isinstance(value, str))
NAMED = ("classifiers", "diffusions", "purifiers", "attacks")  # whose parts have names of the user's
BOUNDS = ("gt", "ge", "lt", "le")


@functools.cache
def places(images: str) -> list[tuple[Place, list[float]]]:
    """The places of all keys of the config with these images, each with values about the bounds of its field."""
    found = keys_of(planned(whole(images)))
    return [(place, [bound + by for bound in bounds_of(field) for by in (-1, 0, 1)]) for place, field in found]


def bounds_of(field: Any) -> Iterator[float]:
    for constraint in field.metadata:
        for name in BOUNDS:
            if isinstance(bound := getattr(constraint, name, None), int | float):
                yield bound


def whole(images: str) -> dict:
    return STUDY | {"images": IMAGES[images]}


@st.composite
def configs(draw: st.DrawFn) -> tuple[Place, dict]:
    """A config that was valid, but for what was done at one place."""
    images = draw(st.sampled_from(sorted(IMAGES)))
    place, near = draw(st.sampled_from(places(images)))
    config = whole(images)
    match draw(st.sampled_from(["put", "put", "put", "put near", "leave out", "add", "rename"])):
        case "put":
            return place, put(config, place, draw(st.sampled_from(ANYTHING)))
        case "put near":
            return place, put(config, place, draw(st.sampled_from(near or [0, 1, 2])))
        case "leave out":
            changed = put(config, place, None)
            _inside(changed, place[:-1]).pop(place[-1])
            return place, changed
        case "add":
            key = draw(st.sampled_from(UNKNOWN))
            value = draw(st.sampled_from(ANYTHING))
            return (*place[:-1], str(key)), put(config, (*place[:-1], key), value)
        case "rename":
            section = draw(st.sampled_from(NAMED))
            name, other = draw(st.sampled_from(sorted(config[section]))), draw(st.sampled_from([*UNKNOWN, *WORDS]))
            renamed = {other if key == name else key: part for key, part in config[section].items()}
            return (section, name, str(other)), config | {section: renamed}


def _inside(config: Any, place: Place) -> Any:
    for key in place:
        config = config[key]
    return config


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working directory that has what the config names."""
    here, there = Path.cwd(), tmp_path_factory.mktemp("study")
    os.chdir(there)
    bring_modules(there)
    yield there
    os.chdir(here)


def said_well(place: Place, config: dict) -> None:
    """Planning accepts the config, or names the key in one line; where another kind of part is meant, in a few."""
    said = refusal(config)
    if said is None:
        return
    named = [repr(key)[1:-1] for key in place if isinstance(key, str)]
    for line in said.split("\n"):
        assert line.startswith(f"{NAME}: ")
        assert line.isprintable(), repr(line)
        assert any(key in line for key in named), f"{place}: {line}"


def some(examples: int) -> settings:
    """The same examples in every run, however slow the machine is."""
    return settings(
        max_examples=examples, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )


@some(FEW)
@given(data=st.data())
def test_a_config_with_one_odd_place_is_planned_or_refused_in_one_line(folder: Path, data: st.DataObject) -> None:
    said_well(*data.draw(configs()))


@pytest.mark.soak
@some(MANY)
@given(data=st.data())
def test_many_configs_with_one_odd_place_are_planned_or_refused_in_one_line(folder: Path, data: st.DataObject) -> None:
    said_well(*data.draw(configs()))


PIECES = (
    "a",
    ": ",
    "- ",
    "\n",
    "  ",
    "\t",
    "{",
    "}",
    "[",
    "]",
    "&x ",
    "*x",
    "<<: ",
    "!!python/name:os ",
    '"',
    "'",
    "1",
)
texts = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


@some(FEW)
@given(content=st.one_of(st.binary(max_size=40), texts.map(str.encode), texts.map(lambda text: text.encode("utf-16"))))
def test_any_file_is_read_or_refused_in_one_line(folder: Path, content: bytes) -> None:
    path = folder / "any.yaml"
    path.write_bytes(content)
    said = _said_of(path)
    if said is None:
        assert isinstance(_read_as_snakemake_does(content.decode()), dict)
        return
    assert said.startswith(f"{path}: ")
    assert said.isprintable()


def _said_of(path: Path) -> str | None:
    """What is said of a config file that is refused; None where it is read."""
    try:
        check_configs([path])
    except AssayError as error:
        return str(error)
    return None


def _read_as_snakemake_does(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return yaml.load(text, Loader=yaml.FullLoader)
