"""A fingerprint of the code that a stage runs: its program and the `assay` modules that it imports, transitively.

A module that a user brings counts with its neighbours: the files beside it that it imports. Files that are no code
(templates, styles, data) count with their bytes where a module loads them from beside itself.

Taken over the syntax trees, so comments, docstrings and formatting do not count. Snakemake does not see imported
modules change; this is how it learns of it.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from assay.files import AssayError, sha256

PACKAGE = Path(__file__).parent.parent
ROOT = PACKAGE.parent.parent
STAGES = "workflow/stages/"  # in the checkout
FILE_NAME = re.compile(r"\w[\w.-]*")  # in the module's own folder


@functools.cache
def fingerprint(*entries: str) -> str:
    """The fingerprint of programs (`workflow/stages/purify.py`) and modules (`assay.data.pcam`) with their imports."""
    modules = reachable(*entries)
    parts = {f"{_name(path)} {_tree_hash(path)}" for path in modules}
    parts |= {f"{_name(path)} {sha256(path)}" for module in modules for path in data_files(module)}
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:16]


@functools.cache
def reachable(*entries: str) -> frozenset[Path]:
    """The source files of the entries and of every `assay` module that they import, at any depth."""
    found: set[Path] = set()
    waiting = [_program(entry) if entry.endswith(".py") else module_file(entry) for entry in entries]
    while waiting:
        path = waiting.pop()
        if path is None or not path.is_file():
            raise AssayError(
                f"module: {' or '.join(entries)} not found; give its path from the folder that the study runs in"
            )
        if path not in found:
            found.add(path)
            waiting.extend(_imports(path))
    return frozenset(found)


def _program(path: str) -> Path:
    """A stage's program, which lies in the checkout, or a user's module, from the folder that the study runs in."""
    return (ROOT / path if path.startswith(STAGES) else Path(path)).resolve()


def module_file(module: str) -> Path | None:
    """The source file of an `assay` module, if there is one."""
    base = PACKAGE.joinpath(*module.split(".")[1:])
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


@functools.cache
def data_files(module: Path) -> tuple[Path, ...]:
    """The files, no code, that a module loads from beside itself.

    Such a module has `__file__` in it, and the name of the file or of its folder as a text of its own:
    `Path(__file__).parent / "templates"`.
    """
    named = [module.parent / text for text in _read(module).named]
    found = [file for path in named for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    return tuple(file for file in found if file.is_file() and file.suffix not in (".py", ".pyc"))


@functools.cache
def _imports(path: Path) -> tuple[Path, ...]:
    names = _read(path).imports
    parents = {".".join(name.split(".")[:end]) for name in names for end in range(1, name.count(".") + 2)}
    own = [module_file(name) if name.split(".")[0] == "assay" else _neighbour(path, name) for name in sorted(parents)]
    return tuple(file for file in own if file)


def running(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a syntax tree, without those that only a type checker sees."""
    waiting = [node]
    while waiting:
        for child in ast.iter_child_nodes(waiting.pop()):
            if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
                yield child
                waiting.append(child)


def _neighbour(path: Path, name: str) -> Path | None:
    """The file beside a user's module that an import of this name finds."""
    found = path.parent.joinpath(*name.split(".")).with_suffix(".py")
    return found if not path.is_relative_to(PACKAGE) and found.is_file() else None


def _name(path: Path) -> str:
    """A file's name in a fingerprint, which does not depend on where the checkout lies."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name


def _tree_hash(path: Path) -> str:
    return _read(path).hash


class _Module(NamedTuple):
    """What counts of one source file: the hash of its tree, what it imports, names of files beside it."""

    hash: str
    imports: frozenset[str]
    named: tuple[str, ...]


@functools.cache
def _read(path: Path) -> _Module:
    """A source file, parsed and walked once: every start of the workflow reads some two hundred of them."""
    tree = _tree(path)
    imports, texts, beside = set[str](), set[str](), False
    for node in running(tree):
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imports |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.add(node.value)
        elif isinstance(node, ast.Name) and node.id == "__file__":
            beside = True
    named = tuple(text for text in sorted(texts) if FILE_NAME.fullmatch(text)) if beside else ()
    return _Module(hashlib.sha256(_text(tree).encode()).hexdigest(), frozenset(imports), named)


WORDS = ("description", "help", "clause", "meaning")  # keywords of calls: what people read of a key or a threat


def _text(part: object) -> str:
    """A syntax tree as text, without words, that all Pythons write alike: later ones have more fields, empty if unused.

    Words are docstrings, and the texts that config keys, command-line options and threats are described with.
    """
    if isinstance(part, ast.AST):
        fields = [(name, _without_words(part, name, getattr(part, name, None))) for name in _in_order(part._fields)]
        told = ",".join(f"{name}={_text(value)}" for name, value in fields if value is not None and value != [])
        return f"{type(part).__name__}({told})"
    if isinstance(part, list):
        return f"[{','.join(map(_text, part))}]"
    return repr(part)


@functools.cache
def _in_order(fields: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(fields) - {"kind"}))


def _without_words(node: ast.AST, name: str, value: object) -> object:
    """A field of a node, without a docstring in it, or a call's descriptions."""
    if name == "body" and isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        first = node.body[0] if node.body else None
        words = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        return node.body[1:] if words and isinstance(first.value.value, str) else value
    if name == "keywords" and isinstance(node, ast.Call):
        return [keyword for keyword in node.keywords if keyword.arg not in WORDS]
    return value


def _tree(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        raise AssayError(
            f"module: {path} cannot be read as Python ({' '.join(str(error).split())}); correct it"
        ) from None
