"""Run a study: what is missing or out of date, and nothing else. Each stage is a line, and every job has its log; at
the end stand the answer, the checks and the report."""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from pathlib import Path

from assay.commands.live import Live, listen, quiet_jobs
from assay.commands.studies import snakefile_options, split_words
from assay.files import AssayError
from assay.planning.dry_run import fault_of, noting_studies
from assay.reporting.page import PAGE
from assay.reporting.terminal import ending
from assay.study.model import Study
from assay.words import count

COMPLAINT = "error: "  # of an option that Snakemake does not know
LOGS = Path(".snakemake/log")


def main(words: list[str] | None = None, name: str | None = None) -> None:
    """Run the study that the first word names; other words go to Snakemake."""
    parser = argparse.ArgumentParser(
        prog=name,
        usage="%(prog)s [STUDY] [-c CORES] [--verbose] [options of Snakemake]",
        description=__doc__,
        allow_abbrev=False,
        epilog="STUDY is a config file or a study's name; the demo if absent. Other arguments go to Snakemake: "
        "--profile slurm, --keep-going, --dry-run, targets, ... An interrupted run resumes with the same command.",
    )
    parser.add_argument("-c", "--cores", default="all", help="cores to use at once: a number or all (default: all)")
    parser.add_argument("--verbose", action="store_true", help="Snakemake's own output, and what jobs print")
    config, words = split_words(sys.argv[1:] if words is None else words)
    arguments, others = parser.parse_known_args(words)
    study = run_workflow([*others, *snakefile_options(), *config, "--cores", arguments.cores], arguments.verbose)
    results = Path("results") / study.study
    if (results / PAGE).is_file() and not {"-n", "--dry-run", "--dryrun"} & set(others):
        print(ending(results))


def run_workflow(options: list[str], verbose: bool) -> Study:
    """Run Snakemake with these options in this process; the study that it ran. A failure is an `AssayError`."""
    import snakemake.cli

    with contextlib.ExitStack() as stack:
        studies = stack.enter_context(noting_studies())
        live = None if verbose else Live(stack.enter_context(quiet_jobs()))
        said = stack.enter_context(contextlib.redirect_stderr(io.StringIO())) if live else io.StringIO()
        try:
            snakemake.cli.main([*options, *(listen(live) if live else ())])
        except SystemExit as end:
            if isinstance(end.code, str):  # a profile's own words
                raise AssayError(end.code.removeprefix("error: ")) from None
            if end.code:
                raise AssayError(_failure(live, said.getvalue())) from None
        finally:
            if live:
                live.close()
    return studies[-1]


def _failure(live: Live | None, said: str) -> str:
    """Why a run ended without all that it was to make; `said` is what Snakemake printed beside its log."""
    if live and live.failed:
        return f"{count(live.failed, 'job')} failed; mend that, and the same command resumes (log of the run: {LOGS})"
    if live and live.faults:
        return fault_of([line.strip() for fault in live.faults for line in fault.splitlines() if line.strip()])
    if complaints := [line for line in said.splitlines() if COMPLAINT in line]:
        return complaints[-1].split(COMPLAINT)[1]
    return f"the run ended early; the same command resumes (log of the run: {LOGS})"
