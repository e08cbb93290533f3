"""What would run, why, for how long, and what disk it fills: a dry run of the workflow, with times from past runs; and
how small a difference between two defences the study will find."""

from __future__ import annotations

import argparse
import os

from assay.planning.dry_run import planned_jobs
from assay.planning.plan import render
from assay.planning.power import smallest_differences
from assay.program import run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, allow_abbrev=False, epilog="Other arguments go to Snakemake: --configfile, targets, ..."
    )
    parser.add_argument("-c", "--cores", default="all", help="cores to plan for: a number or all (default: all)")
    arguments, others = parser.parse_known_args()
    if arguments.cores != "all" and not (arguments.cores.isdecimal() and int(arguments.cores)):
        parser.error(f"--cores: '{arguments.cores}' is no number of cores; write 8 or all")
    cores = (os.cpu_count() or 1) if arguments.cores == "all" else int(arguments.cores)
    jobs, study = planned_jobs([*others, "--cores", str(cores)])
    print(render(jobs, cores, study))
    if power := study and smallest_differences(study):
        print(power)


if __name__ == "__main__":
    run(main)
