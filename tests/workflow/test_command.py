"""`assay run` on a real study: quiet while it runs, and the answer at its end."""

import subprocess
import sys

from checkout import CONFIG, Checkout


def assay(study: Checkout, *words: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "assay", *words]
    return subprocess.run(command, cwd=study.root, env=study.environment(), capture_output=True, text=True)


def test_a_run_ends_with_the_answer_the_checks_and_the_report(study: Checkout) -> None:
    (study.results / "report.manifest.json").unlink()
    done = assay(study, "run", CONFIG, "--cores", "2")
    assert (done.returncode, done.stderr) == (0, "")
    begin, stage, *_, answer, checks, report = done.stdout.splitlines()
    assert (begin, stage.split(" in ")[0]) == ("1 job to run", "report: 1 job")
    assert answer.startswith("At eps 8/255, oneshot at sigma 0.1 keeps ")
    assert checks.startswith("Checks: ")
    assert report == "Report: results/tiny/report.html"
    assert answer.split(" (")[0] in assay(study, "run", "tiny").stdout  # nothing to do: found by its name


def test_a_failed_job_is_one_error_with_its_log(study: Checkout) -> None:
    fault = "    from assay.files import AssayError\n    raise AssayError('the table is round; make it square')\n"
    study.edit("workflow/stages/summarise.py", "def main() -> None:\n", f"def main() -> None:\n{fault}")
    done = assay(study, "run", CONFIG, "--cores", "1")
    assert done.returncode == 1
    _, error, log = done.stdout.splitlines()
    assert error == "error: the table is round; make it square"
    assert log == "  its log: results/tiny/logs/summarise.log"
    assert done.stderr.startswith("error: 1 job failed; mend that, and the same command resumes")
