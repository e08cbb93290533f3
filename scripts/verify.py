"""The same as `assay verify`."""

from assay.commands.verify import main
from assay.program import run

if __name__ == "__main__":
    run(main)
