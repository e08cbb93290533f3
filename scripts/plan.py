"""The same as `assay plan`."""

from assay.commands.plan import main
from assay.program import run

if __name__ == "__main__":
    run(main)
