"""How many phantom images a second does one core draw? `PYTHONPATH=src python benchmarks/phantom.py`"""

import time

from assay.data.phantom import generate


def main() -> None:
    for size, count in ((32, 1000), (96, 200)):
        generate(0, "train", range(4), size)
        start = time.process_time()
        generate(0, "train", range(count), size)
        print(f"{size} px: {count / (time.process_time() - start):.0f} images/s")


if __name__ == "__main__":
    main()
