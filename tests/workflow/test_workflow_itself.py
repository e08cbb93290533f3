"""The workflow as Snakemake sees it: its rules, its linter, its report."""

import re
import zipfile

from checkout import ROOT

RULES = {
    "fetch_images",
    "index_images",
    "prepare_images",
    "check_images",
    "train_classifier",
    "train_diffusion",
    "import_classifier",
    "import_diffusion",
    "attack",
    "purify",
    "classify",
    "probe",
    "certify",
    "attack_certificates",
    "summarise",
    "check",
    "report",
}


def test_every_rule_says_what_it_does():
    text = "\n".join(path.read_text() for path in sorted((ROOT / "workflow/rules").glob("*.smk")))
    rules = re.findall(r"^rule (\w+):\n    (.*)$", text, re.MULTILINE)
    twins = re.findall(r"^use rule \w+ as (\w+) with:$", text, re.MULTILINE)
    assert {name for name, _ in rules} | set(twins) >= RULES
    assert [name for name, first in rules if not first.startswith('"""')] == []


def test_a_rule_has_at_most_25_lines_and_no_lambda_that_another_has():
    text = "\n".join(path.read_text() for path in sorted((ROOT / "workflow/rules").glob("*.smk")))
    bodies = re.findall(r"^(?:use )?rule .*?:\n((?: +.*\n|\n(?= ))*)", text, re.MULTILINE)
    assert max(len([line for line in body.splitlines() if line.strip()]) for body in bodies) <= 25
    lambdas = [found for body in bodies for found in re.findall(r"lambda .*", body)]
    assert len(lambdas) == len(set(lambdas))


def test_every_rule_has_a_log_and_a_benchmark():
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        for rule in re.split(r"^rule ", path.read_text(), flags=re.MULTILINE)[1:]:
            assert "    log:\n" in rule
            assert "    benchmark:\n" in rule


def test_snakemakes_linter_finds_nothing(fresh):
    status, output = fresh.snakemake("--lint")
    assert status == 0, output
    assert "Congratulations, your workflow is in a good condition!" in output


def test_snakemakes_report_holds_captions_and_labels(study):
    study.complete("--report", "report.zip")
    with zipfile.ZipFile(study.root / "report.zip") as archive:
        names = archive.namelist()
        page = "\n".join(archive.read(name).decode() for name in names if name.endswith((".html", ".js")))
    for result in ("summary.csv", "report.html", "history.csv", "samples.png"):
        assert any(name.endswith(result) for name in names), names
    for label in ("Results", "Training", "resnet", "unet", "summary", "samples"):
        assert f'"{label}"' in page
    of_certificates = {"certificates", "certified_accuracy", "sequential"}  # which the tests' study has not
    for caption in (ROOT / "workflow/report").glob("*.rst"):
        if caption.stem in of_certificates:
            continue
        assert _first_words(caption.read_text()) in _plain(page), caption.name


def _first_words(text):
    """The first few words of running text in a caption, up to any markup."""
    paragraph = next(part for part in text.split("\n\n") if not re.search(r"^[=\-~]{3,}$", part, re.MULTILINE))
    return " ".join(re.split(r"[`*{_<]", paragraph)[0].split()[:4])


def _plain(page):
    return " ".join(re.sub(r"<[^>]+>|\\n", " ", page).split())
