"""Faults on order, for the programs that the workflow tests run: Python imports this at its start, by PYTHONPATH.

ASSAY_TEST_FAULTS is a JSON list of {"path", "nth", "act"}: before the nth rename to a file whose path ends like the
pattern `path`, a program is killed as by `kill -9` (act "kill") or stands still (act "stall", after writing the file
ASSAY_TEST_STALLED). All that a stage keeps is put in place by a rename, so these are the moments that matter.

ASSAY_TEST_FAST_CLOCK makes the clock of training programs leap when they ask whether a checkpoint is due: it always is.
"""

import fnmatch
import json
import os
import signal
import sys
import time


def _order_faults(faults):
    seen = [0] * len(faults)

    def watch(event, arguments):
        if event != "os.rename":
            return
        target = os.fspath(arguments[1])
        for index, fault in enumerate(faults):
            if isinstance(target, str) and fnmatch.fnmatchcase(os.path.abspath(target), "*/" + fault["path"]):
                seen[index] += 1
                if seen[index] == fault["nth"]:
                    if fault["act"] == "kill":
                        os.kill(os.getpid(), signal.SIGKILL)
                    with open(os.environ["ASSAY_TEST_STALLED"], "w") as note:
                        note.write(str(os.getpid()))
                    time.sleep(1e6)

    sys.addaudithook(watch)


def _rush():
    true_clock, ahead = time.monotonic, [0]

    def clock():
        if sys._getframe(1).f_code.co_name == "due":
            ahead[0] += 1000
        return true_clock() + ahead[0]

    time.monotonic = clock


if "ASSAY_TEST_FAULTS" in os.environ:
    _order_faults(json.loads(os.environ["ASSAY_TEST_FAULTS"]))
if "ASSAY_TEST_FAST_CLOCK" in os.environ and any("stages/train_" in word for word in sys.orig_argv):
    _rush()
