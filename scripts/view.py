"""The same as `assay inspect`."""

from assay.commands.inspect import main
from assay.program import run

if __name__ == "__main__":
    run(main)
