"""The same as `assay show`."""

from assay.commands.show import main
from assay.program import run

if __name__ == "__main__":
    run(main)
