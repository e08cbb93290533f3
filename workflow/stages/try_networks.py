"""Try whether networks can be built and take their images; planning runs this for networks that it has not tried."""

import argparse
import json

from assay.networks.trial import trial
from assay.program import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", required=True, help="JSON: descriptions of networks, by the key to answer by")
    arguments = parser.parse_args()
    for key, described in json.loads(arguments.networks).items():
        print(json.dumps({"key": key, "fault": trial(described)}), flush=True)


if __name__ == "__main__":
    run(main)
