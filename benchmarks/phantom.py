"""How many images of each of the phantom's tasks does one core draw a second? `python benchmarks/phantom.py`"""

import importlib
import time
from typing import get_args

from assay.study.images import PhantomSource


def main() -> None:
    for task in get_args(PhantomSource.model_fields["task"].annotation):
        generate = importlib.import_module(PhantomSource(source="phantom", task=task).implementation).generate
        for size, count in ((32, 1008), (96, 252)):
            generate(0, "train", range(9), size)
            began = time.process_time()
            generate(0, "train", range(count), size)
            print(f"{task}, {size} px: {count / (time.process_time() - began):.0f} images/s")


if __name__ == "__main__":
    main()
