"""The command `assay`. Each sub-command is a module with `main(words, name)`; only the one that runs is imported."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import sys

from assay.program import run

COMMANDS = {
    "new": "write the config of a study on images of your own",
    "plan": "what would run, why, for how long, and what disk it fills",
    "run": "run a study, and print what it found",
    "show": "print what a study found",
    "explore": "open a study's report in the browser",
    "inspect": "look at a stack of adversarial or purified images",
    "compare": "which cells differ between two studies, and by how much",
    "export": "write a study's results in the format of another tool",
    "verify": "recompute every hash, and name what is damaged",
}


def main() -> None:
    """The program `assay`, for the words of the command line."""
    run(lambda: dispatch(sys.argv[1:]))


def dispatch(words: list[str]) -> None:
    """Run the sub-command that the first word names, with the other words."""
    options, others = (words[:1], words[1:]) if words and words[0] in COMMANDS else (words, [])
    command = _parser().parse_args(options).command
    importlib.import_module(f"assay.commands.{command}").main(others, f"assay {command}")


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:{width}}  {what}" for name, what in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="assay",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measure whether a defence protects a classifier from adversarial images, and how far the number "
        "can be trusted.",
        epilog=f"commands:\n{listed}\n\n`assay COMMAND --help` explains each. A STUDY is a config file, a study's "
        "folder below results/,\nor its name; without one it is the demo.",
    )
    parser.add_argument("--version", action="version", version=f"assay {importlib.metadata.version('assay')}")
    parser.add_argument("command", metavar="COMMAND", choices=list(COMMANDS), help="one of those below")
    return parser
