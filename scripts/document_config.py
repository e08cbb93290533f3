"""Write config/schema.json and the key tables of config/README.md out of the config's models."""

import argparse
from pathlib import Path

from assay.files import write_text
from assay.program import run
from assay.study.document import BEGIN, END, key_tables, schema

CONFIG = Path(__file__).parent.parent / "config"


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    write_text(CONFIG / "schema.json", schema())
    readme = CONFIG / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    write_text(readme, before + key_tables() + after)


if __name__ == "__main__":
    run(main)
