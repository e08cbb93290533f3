"""A fingerprint of the code that a stage runs: its program and the `assay` modules that it imports, transitively.

Taken over the syntax trees, so comments, docstrings and formatting do not count. Snakemake does not see imported
modules change; this is how it learns of it.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from pathlib import Path

PACKAGE = Path(__file__).parent.parent
ROOT = PACKAGE.parent.parent


@functools.cache
def fingerprint(*entries: str) -> str:
    """The fingerprint of programs (`workflow/stages/purify.py`) and modules (`assay.data.pcam`) with their imports."""
    parts = sorted(f"{path.relative_to(ROOT).as_posix()} {_tree_hash(path)}" for path in reachable(*entries))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@functools.cache
def reachable(*entries: str) -> frozenset[Path]:
    """The source files of the entries and of every `assay` module that they import, at any depth."""
    found: set[Path] = set()
    waiting = [ROOT / entry if entry.endswith(".py") else module_file(entry) for entry in entries]
    while waiting:
        path = waiting.pop()
        if path is None:
            raise ModuleNotFoundError(f"no such module among {entries}")
        if path not in found:
            found.add(path)
            waiting.extend(_imports(path))
    return frozenset(found)


def module_file(module: str) -> Path | None:
    """The source file of an `assay` module, if there is one."""
    base = PACKAGE.joinpath(*module.split(".")[1:])
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


@functools.cache
def _imports(path: Path) -> tuple[Path, ...]:
    names: set[str] = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    parents = {".".join(name.split(".")[:end]) for name in names for end in range(1, name.count(".") + 2)}
    own = [module_file(name) for name in sorted(parents) if name.split(".")[0] == "assay"]
    return tuple(file for file in own if file)


@functools.cache
def _tree_hash(path: Path) -> str:
    return hashlib.sha256(ast.dump(_WithoutWords().visit(_tree(path))).encode()).hexdigest()


class _WithoutWords(ast.NodeTransformer):
    """Drops docstrings, and the `description` and `help` texts of config keys and command-line options."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
        elif isinstance(node, ast.Call):
            node.keywords = [keyword for keyword in node.keywords if keyword.arg not in ("description", "help")]
        return node


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))
