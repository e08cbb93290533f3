"""What would run, why, for how long, and what disk it fills: a dry run of the workflow, with times from past runs; and
how small a difference between two defences the study will find."""

from __future__ import annotations

import argparse
import os
import sys

from assay.commands.studies import snakefile_options, split_words
from assay.planning.dry_run import planned_jobs
from assay.planning.plan import render
from assay.planning.power import smallest_differences


def main(words: list[str] | None = None, name: str | None = None) -> None:
    """Print the plan of the study that the first word names; other words go to Snakemake."""
    parser = argparse.ArgumentParser(
        prog=name,
        usage="%(prog)s [STUDY] [-c CORES] [options of Snakemake]",
        description=__doc__,
        allow_abbrev=False,
        epilog="STUDY is a config file or a study's name. Other arguments go to Snakemake: --configfile, targets, ...",
    )
    parser.add_argument("-c", "--cores", default="all", help="cores to plan for: a number or all (default: all)")
    config, words = split_words(sys.argv[1:] if words is None else words)
    arguments, others = parser.parse_known_args(words)
    if arguments.cores != "all" and not (arguments.cores.isdecimal() and int(arguments.cores)):
        parser.error(f"--cores: '{arguments.cores}' is no number of cores; write 8 or all")
    cores = (os.cpu_count() or 1) if arguments.cores == "all" else int(arguments.cores)
    jobs, study = planned_jobs([*others, *snakefile_options(), *config, "--cores", str(cores)])
    print(render(jobs, cores, study))
    if power := study and smallest_differences(study):
        print(power)
