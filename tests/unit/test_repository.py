"""What stands around the code: dependencies, the licence, the citation, and what the tools of others read."""

import ast
import hashlib
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from assay.files import AssayError
from assay.modules import load

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NAMES = {"PIL": "pillow", "huggingface_hub": "huggingface-hub", "yaml": "pyyaml"}
APACHE = "59d8f0ba87ad9a2f1a431123c8d16646e5b89ba53653e818f16d136d77263c99"  # SHA-256 of the text without its form


def named(requirements: list[str]) -> set[str]:
    """The packages that requirements name."""
    return {re.match(r"[a-z0-9-]+", requirement)[0] for requirement in requirements}


def imported() -> set[str]:
    """The packages, Python's own apart, that the library imports anywhere."""
    found = set()
    for path in (ROOT / "src/assay").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.split(".")[0])
    return {NAMES.get(name, name) for name in found - set(sys.stdlib_module_names) - {"assay"}}


def test_installers_bring_all_that_the_library_imports() -> None:
    extra = {"torchattacks"}  # in its own group, see pyproject.toml
    comes_with_others = {"markupsafe", "pydantic_core", "snakemake_interface_logger_plugins"}
    assert imported() - extra - comes_with_others <= named(PROJECT["project"]["dependencies"])


def test_every_dependency_is_locked() -> None:
    groups = PROJECT["dependency-groups"]
    wanted = named([*PROJECT["project"]["dependencies"], *groups["dev"], *groups["torchattacks"]])
    lock = "".join((ROOT / f"requirements/{name}.txt").read_text() for name in ("lock", "torch"))
    assert wanted <= set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE)), "run 'make lock'"


def test_a_method_whose_package_is_missing_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchattacks", None)
    monkeypatch.delitem(sys.modules, "assay.attacks.methods.square", raising=False)
    with pytest.raises(AssayError, match=r"square: needs the Python package torchattacks, .*; install it"):
        load.__wrapped__("assay.attacks.methods.square")


def test_the_licence_is_the_whole_apache_licence() -> None:
    terms, _ = (ROOT / "LICENSE").read_text().split("   APPENDIX:")
    assert hashlib.sha256(" ".join(terms.split()).encode()).hexdigest() == APACHE
    assert PROJECT["project"]["license"] == "Apache-2.0"


def test_the_citation_names_this_version_and_the_papers_of_the_report() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation.keys() >= {"cff-version", "message", "title", "authors"}
    assert (citation["version"], citation["license"]) == (PROJECT["project"]["version"], "Apache-2.0")
    papers = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "src/assay/reporting/claims").glob("*.yaml"))]
    assert len(citation["references"]) == len(papers)
    for cited, paper in zip(citation["references"], papers, strict=True):
        assert paper["authors"].split()[0].rstrip(",") == cited["authors"][0]["family-names"]


def test_the_version_has_its_place_in_the_changelog() -> None:
    assert f"## {PROJECT['project']['version']}\n" in (ROOT / "CHANGELOG.md").read_text()


def test_github_runs_what_ci_runs() -> None:
    steps = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["ci"]["steps"]
    assert ".ci/run" in [step.get("run") for step in steps]


def test_the_catalogs_test_is_the_tests_own_study() -> None:
    assert (ROOT / ".test/config/config.yaml").resolve() == ROOT / "tests/workflow/tiny.yaml"
    assert yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
