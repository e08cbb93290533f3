"""Measure what a call of each network costs, and keep it; planning runs this for networks that it has no size of."""

import argparse
import json
from pathlib import Path

from assay.files import read_json, write_json
from assay.networks.measure import measure
from assay.program import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", required=True, help="JSON: descriptions of networks, by the key to keep them by")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to add them to")
    arguments = parser.parse_args()
    kept = read_json(arguments.out) if arguments.out.is_file() else {}
    for key, described in json.loads(arguments.networks).items():
        try:
            kept[key] = {"network": described, "size": measure(described)}
        except Exception as error:  # whatever a user's own network does
            kept[key] = {"network": described, "fault": " ".join(str(error).split())}
    write_json(arguments.out, kept)


if __name__ == "__main__":
    run(main)
