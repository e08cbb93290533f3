"""The study that a command is given: a config file, a folder below `results/`, or a name."""

from __future__ import annotations

from pathlib import Path

from assay.files import AssayError
from assay.planning.configs import read_strictly
from assay.planning.fingerprint import ROOT

DEMO = "demo"
SUFFIXES = (".yaml", ".yml", ".json")  # of config files
SNAKEFILES = ("Snakefile", "workflow/Snakefile")  # where Snakemake looks for one


def config_of(word: str) -> Path:
    """The config file of a study: the one that is named, or that of a study's name among those in `config/`."""
    path = Path(word)
    if path.exists() and not path.is_dir():
        return path
    if path.suffix in SUFFIXES:
        raise AssayError(f"{word}: not found; name a config file, or write one with assay new")
    for config in _configs():
        if config.stem == word or _name_in(config) == path.name:
            return config
    raise AssayError(f"{word}: is no config file, and no study in config/ has this name; write one with assay new")


def results_of(word: str) -> Path:
    """The folder with the results of a study: the one that is named, or that of a study's name or config file."""
    path, results = Path(word), Path("results") / word
    if path.is_dir() and (path.name != word or not results.is_dir()):
        return path
    if path.is_file():
        return Path("results") / _require_name(path)
    if not results.is_dir():
        raise AssayError(f"{word}: there is no such folder, and no {results}; run the study first: assay run {word}")
    return results


def snakefile_options() -> list[str]:
    """Snakemake's option that names the workflow; none in a folder that has one, such as the checkout."""
    if any(Path(name).is_file() for name in SNAKEFILES):
        return []
    if not (ROOT / "Snakefile").is_file():
        raise AssayError(
            "the workflow was not installed with the library; run this in a checkout of Assay, or install Assay from "
            "one with pip install --editable"
        )
    return ["--snakefile", str(ROOT / "Snakefile")]


def split_words(words: list[str]) -> tuple[list[str], list[str]]:
    """The option of Snakemake that names a study's config, if the first word names the study; and the other words."""
    if words and not words[0].startswith("-"):
        return ["--configfile", str(config_of(words[0]))], words[1:]
    return [], words


def _configs() -> list[Path]:
    """The config files of the folder that this runs in, and of the checkout."""
    folders = dict.fromkeys(folder.resolve() for folder in (Path("config"), ROOT / "config"))
    return [path for folder in folders for suffix in SUFFIXES for path in sorted(folder.glob(f"*{suffix}"))]


def _name_in(config: Path) -> str | None:
    """The name of the study of a config file; None where it has none, or cannot be read."""
    try:
        content = read_strictly(config)
    except AssayError:
        return None
    return content.get("study") if isinstance(content, dict) else None


def _require_name(config: Path) -> str:
    if name := _name_in(config):
        return str(name)
    raise AssayError(f"{config}: is not the config of a study; name one that has the key study")
