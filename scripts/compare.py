"""The same as `assay compare`."""

from assay.commands.compare import main
from assay.program import run

if __name__ == "__main__":
    run(main)
