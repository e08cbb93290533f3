"""A study's config files as texts: what Snakemake's reader lets pass, or does not name, is refused in one line."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from assay.files import AssayError
from assay.study.parse import one_line

KEY_AND_VALUE = re.compile(r"[A-Za-z_][\w-]*\w=")
FOR_SNAKEMAKE = ("pathvars", "__use_yte__")  # keys that Snakemake takes out of a config, and acts on


def check_configs(paths: Iterable[Path]) -> None:
    """Refuse a config file that is not there, is no UTF-8 text or no YAML (or JSON), has a key twice, or none."""
    for path in map(Path, paths):
        if _is_pipe(path):
            continue  # it can be read once, by Snakemake
        config = read_strictly(path)
        if config is None:
            raise AssayError(f"{path}: is empty; write the keys of a study (see config/README.md)")
        if not isinstance(config, dict):
            raise AssayError(f"{path}: holds no keys; write those of a study at its top level (see config/README.md)")
        for key in FOR_SNAKEMAKE:
            if key in config:
                raise AssayError(f"{path}: {key}: means something to Snakemake, and nothing to a study; remove it")


def read_strictly(path: Path) -> Any:
    """What a YAML or JSON file holds, no key of which stands there twice; None if it is empty."""
    try:
        text = _read(path)
        try:
            return json.loads(text, object_pairs_hook=_distinct)
        except ValueError:
            return _read_yaml(text)
    except RecursionError:
        raise AssayError(f"{path}: is nested too deeply; write it flatter") from None
    except AssayError as error:
        raise AssayError(one_line(f"{path}: {error}")) from None


def check_arguments() -> None:
    """The same for the config files and single keys that Snakemake's command line names: one line, and the end.

    The default profile calls this, because Snakemake reads them before the Snakefile.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--configfile", "--configfiles", nargs="+", default=[])
    parser.add_argument("--config", "-C", nargs="*", default=[])
    named, _ = parser.parse_known_args()
    try:
        check_configs(named.configfile)
        for entry in named.config:
            if not KEY_AND_VALUE.match(entry):
                raise AssayError(f"--config: {entry!r} is not KEY=VALUE; write --config seed=1")
    except AssayError as error:
        sys.exit(f"error: {error}")


def _is_pipe(path: Path) -> bool:
    try:
        return path.is_fifo()
    except OSError:  # as of a name that is too long
        return False


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise AssayError("not found; correct --configfile") from None
    except IsADirectoryError:
        raise AssayError("is a folder; name a file in it") from None
    except OSError as error:
        raise AssayError(f"cannot be read ({error.strerror}); correct --configfile, or the file's rights") from None
    except UnicodeDecodeError as error:
        raise AssayError(f"is not UTF-8 text (byte {error.start}); save it as UTF-8") from None


def _read_yaml(text: str) -> Any:
    """What a YAML text holds, once no key stands there twice."""
    try:
        loader = yaml.FullLoader(text)
        node = loader.get_single_node()
        _check_node(node, "", set(), ())
        return loader.construct_document(node) if node else None
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise AssayError(f"is not valid YAML ({where}{error.problem or error.context}); correct it") from None
    except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:  # a date or a number that is none
        raise AssayError(f"is not valid YAML ({' '.join(str(error).split())}); correct it") from None


def _check_node(node: yaml.Node | None, place: str, seen: set[int], above: Sequence[yaml.Node]) -> None:
    """Refuse a key that stands twice at one place, and a part that refers to itself."""
    if node in above:
        raise AssayError(f"{place}: refers to itself; write it out")
    if id(node) in seen or not isinstance(node, yaml.CollectionNode):
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, each in enumerate(node.value):
            _check_node(each, f"{place}.{index}".removeprefix("."), seen, (*above, node))
        return
    lines: dict[Hashable, int] = {}
    for key, each in node.value:
        inside = f"{place}.{key.value}".removeprefix(".") if isinstance(key, yaml.ScalarNode) else place
        name, line = (key.tag, str(key.value)), key.start_mark.line + 1
        if name in lines:
            raise AssayError(f"{inside}: stands there twice (lines {lines[name]} and {line}); remove one")
        lines[name] = line
        _check_node(each, inside, seen, (*above, node))


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys all differ."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise AssayError(f"{twice}: stands there twice; remove one")
    return found
