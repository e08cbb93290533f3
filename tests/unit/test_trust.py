"""The report's trust: a failed check takes out what rests on it and nothing else; every finding is told."""

import math
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from assay.evaluation.bounds import COLUMNS as PAIRS
from assay.evaluation.bounds import with_claims
from assay.files import AssayError
from assay.planning.cells import Attacked, Cell, Defence
from assay.reporting.beats import beats, rankings
from assay.reporting.checks import families_of, totals
from assay.reporting.page import render
from assay.reporting.read import read_checks, read_comparisons, read_strongest, read_summary, read_worst_cases
from assay.reporting.strongest import with_bounds
from assay.reporting.trust import Checked, Judge, places_of
from assay.reporting.worst import balls, worst
from study_tables import finding, made_up, strongest_of, write_tables

EPS, SMALL = 8 / 255, 4 / 255
STUDY = made_up({"pgd": "transfer", "through": "adaptive"})
THREATS = {"pgd": "transfer", "through": "adaptive", None: "none"}
DDPM, NOISE = Defence("ddpm", 0.1), Defence("noise", 0.2)
PGD, PGD_SMALL = (Attacked("resnet", "pgd", eps, Defence()) for eps in (EPS, SMALL))
THROUGH = Attacked("resnet", "through", EPS, DDPM)
CELLS = {
    Cell("resnet", None, Defence()): 0.96,
    Cell("resnet", None, NOISE): 0.60,
    Cell("resnet", None, DDPM): 0.90,
    Cell("resnet", PGD_SMALL, Defence()): 0.30,
    Cell("resnet", PGD_SMALL, DDPM): 0.85,
    Cell("resnet", PGD, Defence()): 0.04,
    Cell("resnet", PGD, NOISE): 0.50,
    Cell("resnet", PGD, DDPM): 0.80,
    (THROUGH_CELL := Cell("resnet", THROUGH, DDPM)): 0.40,
}
STACK = f"adversarial/{THROUGH.path}"


def row(cell: Cell, accuracy: float) -> dict[str, Any]:
    """A cell's line of the summary."""
    attack = cell.attacked.attack if cell.attacked else None
    several = cell.defence.purifier is not None
    return {
        "study": "made-up",
        "classifier": cell.classifier,
        "attack": attack or "none",
        "threat": THREATS[attack],
        "norm": "Linf" if attack else "none",
        "eps": cell.attacked.eps if cell.attacked else 0.0,
        "defence": cell.defence.name,
        "sigma": cell.defence.sigma,
        "images": 100,
        "draws": 3 if several else 1,
        "accuracy": accuracy,
        "ci_low": accuracy - 0.03,
        "ci_high": accuracy + 0.03,
        "majority_accuracy": accuracy + 0.01,
        "worst_accuracy": accuracy - 0.03,
        "worst_of_1": accuracy,
        "worst_of_2": accuracy - 0.02 if several else float("nan"),
        "scores": cell.path,
    }


SUMMARY = pd.DataFrame([row(*item) for item in CELLS.items()])
STRONGEST = strongest_of(SUMMARY, STUDY)
MARKED = with_bounds(SUMMARY, STRONGEST)


def compared(cells: dict[Cell, float], winners: set[frozenset[Defence]]) -> pd.DataFrame:
    """The comparisons of cells of one table, in the order given; the better one of the `winners` is significant."""
    found = []
    for index, (a, left) in enumerate(cells.items()):
        for b, right in list(cells.items())[index + 1 :]:
            line = {key: row(a, left)[key] for key in ("study", "classifier", "attack", "threat", "norm", "eps")}
            line |= {"a": a.defence.name, "a_sigma": a.defence.sigma, "accuracy_a": left}
            line |= {"b": b.defence.name, "b_sigma": b.defence.sigma, "accuracy_b": right}
            line |= {"difference": right - left, "low": right - left - 0.05, "high": right - left + 0.02}
            won = frozenset((a.defence, b.defence)) in winners
            line |= {"p": 0.01, "p_holm": 0.02 if won else 1.0, "detectable": 0.03}
            found.append(line | {"winner": ("b" if right > left else "a") if won else "none"})
    return with_claims(pd.DataFrame(found), STRONGEST)[PAIRS]


AT_EPS = {cell: accuracy for cell, accuracy in CELLS.items() if cell.attacked == PGD}
COMPARISONS = compared(AT_EPS, {frozenset((Defence(), DDPM)), frozenset((Defence(), NOISE))})
WORST_CASES = pd.DataFrame(
    {
        "study": "made-up",
        "classifier": "resnet",
        "norm": "Linf",
        "eps": [SMALL, EPS, EPS],
        "defence": ["ddpm", "none", "ddpm"],
        "sigma": [0.1, 0.0, 0.1],
        "images": 100,
        "draws": 3,
        "attacks": ["pgd", "pgd", "pgd through"],
        "all_or_nothing": [0.81, 0.04, 0.31],
        "ci_low": [0.78, 0.01, 0.24],
        "ci_high": [0.84, 0.07, 0.39],
        "clean": [0.87, 0.96, 0.87],
        "kept": [0.81 / 0.87, 0.04 / 0.96, 0.31 / 0.87],
        "kept_low": [0.88, 0.01, float("nan")],
        "kept_high": [0.97, 0.07, float("nan")],
        "majority": [0.86, 0.05, 0.38],
        "majority_clean": [0.91, 0.97, 0.91],
    }
)


def page(folder: Path, findings: list[dict] | None = None, summary: pd.DataFrame = SUMMARY, **tables: Any) -> str:
    """The report of the made-up study with these findings."""
    write_tables(folder, summary, findings, strongest=strongest_of(summary, STUDY), **tables)
    (folder / "report.html").write_text(render(folder, STUDY, {}, {}), encoding="utf-8")
    return (folder / "report.html").read_text()


def whole_page(folder: Path, findings: list[dict]) -> str:
    return page(folder, findings, comparisons=COMPARISONS, worst_cases=WORST_CASES)


def checked(findings: list[dict]) -> Checked:
    return Checked(pd.DataFrame(findings, columns=["status", "meaning", "subject"]))


def section(html: str, name: str) -> str:
    return re.search(rf'<section id="{name}">.*?</section>', html, re.S).group(0)


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html)).strip()


def lines(html: str) -> list[tuple[bool, str]]:
    """The lines of a table's body: whether each is greyed, and its words."""
    body = re.search(r"<tbody>(.*?)</tbody>", html, re.S).group(1)
    return [("doubted" in head, words(line)) for head, line in re.findall(r"<tr([^>]*)>(.*?)</tr>", body, re.S)]


def greyed_cells(html: str) -> set[Cell]:
    """The cells whose lines are greyed in the table of every cell."""
    table = re.search(r'<table class="sortable">.*?</table>', html, re.S).group(0)
    return {cell for cell, (greyed, _) in zip(CELLS, lines(table), strict=True) if greyed}


def greyed_claims(html: str) -> list[str]:
    return [words(claim) for claim in re.findall(r'<span class="doubted">(.*?)</span>', section(html, "answer"), re.S)]


@pytest.mark.parametrize(
    "cell",
    [
        *CELLS,
        Cell("resnet", Attacked("other", "pgd", 0.5, Defence()), Defence("ddpm", "selected")),
        Cell("resnet", Attacked("resnet", "through", EPS, NOISE), NOISE),
    ],
    ids=lambda cell: cell.path,
)
def test_a_number_rests_on_its_scores_its_stack_and_the_test_images(cell: Cell) -> None:
    assert set(places_of(cell.path)) == {f"scores/{cell.path}", f"adversarial/{cell.stack}", "images/test"}


def test_a_failed_stack_greys_the_cells_and_the_claims_that_rest_on_it_and_no_others(tmp_path: Path) -> None:
    fails = finding(STACK, "FAIL", meaning="Twice the steps leave less.")
    html = whole_page(tmp_path, [finding("images/test"), fails])
    assert greyed_cells(html) == {Cell("resnet", THROUGH, DDPM)}
    assert section(html, "answer").count("Not to be relied on: Twice the steps leave less.") == 1
    claims = greyed_claims(html)
    assert any(claim.startswith("At eps 8/255, ddpm at sigma 0.1 keeps") for claim in claims)
    assert not any("On clean images" in claim for claim in claims)


def test_a_transfer_stack_takes_all_defences_that_were_shown_it(tmp_path: Path) -> None:
    html = whole_page(tmp_path, [finding(f"adversarial/{PGD_SMALL.path}", "FAIL")])
    assert greyed_cells(html) == {cell for cell in CELLS if cell.attacked == PGD_SMALL}
    heat = re.search(r'<table class="chart heat".*?</table>', html, re.S).group(0)
    hatched = re.findall(r'<td class="stop doubted"[^>]*✗ budget used of adversarial."[^>]*>([≤ \d]+)</td>', heat)
    assert hatched == ["30", "≤ 85"]
    assert greyed_claims(html) == [], "the answer speaks of another eps"


def test_scores_that_fail_take_their_cell_alone_and_test_images_take_all(tmp_path: Path) -> None:
    cell = Cell("resnet", PGD, NOISE)
    assert greyed_cells(whole_page(tmp_path, [finding(f"scores/{cell.path}", "FAIL")])) == {cell}
    assert greyed_cells(whole_page(tmp_path, [finding("images/test", "FAIL")])) == set(CELLS)


def test_a_warning_greys_nothing_and_is_told_once(tmp_path: Path) -> None:
    html = whole_page(tmp_path, [finding(f"adversarial/{PGD.path}", "WARN", meaning="Few draws.")])
    assert greyed_cells(html) == set()
    assert "doubted" not in section(html, "answer") + section(html, "papers")
    assert words(section(html, "answer") + section(html, "papers")).count("! To be read with care: Few draws.") == 1
    assert words(section(html, "grid")).count("! warn") == sum(cell.attacked == PGD for cell in CELLS)


def test_a_reason_is_given_once_and_then_pointed_at_and_others_are_counted() -> None:
    judge = Judge(checked([finding("scores/a", "FAIL", meaning=f"Reason {index}.") for index in (1, 2, 2)]))
    assert judge(["a"]).note == "Not to be relied on: Reason 1. And 1 more."
    assert judge(["a", "b"]).note == "Not to be relied on, for a reason given above."
    assert judge(["b"]).note == ""


def test_curves_and_bars_grey_what_failed_and_say_so(tmp_path: Path) -> None:
    cell = Cell("resnet", PGD, DDPM)
    failed = whole_page(tmp_path, [finding(f"scores/{cell.path}", "FAIL")])
    assert section(failed, "curves").count('class="stop doubted"') == 1
    assert words(section(failed, "curves")).count("Hollow grey points failed a check.") == 1
    rows = re.findall(r'<div class="row">(?:(?!<div class="row).)*', section(failed, "answer"), re.S)
    greyed = [words(line).split()[0] for line in rows if 'class="stop doubted"' in line]
    assert greyed == ["attacked", "transfer", "ddpm"], "the strongest attack, its rung, and the row of that defence"
    passed = whole_page(tmp_path, [finding("images/test")])
    assert "stop doubted" not in passed
    assert "Hollow grey" not in passed


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["PASS", "FAIL", "WARN"], "FAIL"),
        (["PASS", "WARN"], "WARN"),
        (["PASS", "NOT RUN"], "NOT RUN"),
        (["WARN", "NOT RUN"], "WARN"),
        (["NOT RUN"], "NOT RUN"),
        ([], "NOT RUN"),
        (["PASS", "DOES NOT APPLY"], "PASS"),
        (["DOES NOT APPLY"], "NOT RUN"),
    ],
)
def test_the_worst_status_counts_and_what_was_not_looked_at_is_worse_than_what_passed(
    statuses: list[str], expected: str
) -> None:
    findings = [finding("scores/resnet/clean/none/sigma-0", status) for status in statuses]
    elsewhere = finding("scores/other", "FAIL")
    assert checked([*findings, elsewhere])(["resnet/clean/none/sigma-0"]).status == expected


FINDINGS = [
    finding("scores/a", "PASS", "logits", number=0.1),
    finding("scores/b", "WARN", "logits", number=0.25, meaning="Odd."),
    finding("scores/c", "WARN", "logits", number=0.2, meaning="Odd."),
    finding("images/test", "PASS", "roles"),
    finding("adversarial/x", "FAIL", "falls with eps", "order", meaning="Rises."),
    finding("", "NOT RUN", "large eps", "order", meaning="No eps is large.", number=None, threshold=None),
    finding("", "DOES NOT APPLY", "sigma 0", "order", meaning="No sigma is 0.", number=None, threshold=None),
]


def test_all_findings_are_counted_and_grouped(tmp_path: Path) -> None:
    write_tables(tmp_path, findings=FINDINGS)
    table = read_checks(tmp_path / "checks.csv")
    assert totals(table) == {"PASS": 2, "WARN": 2, "FAIL": 1, "NOT RUN": 1}
    stored, order = families_of(table)
    assert [(check.name, check.status) for check in stored.checks] == [("logits", "WARN"), ("roles", "PASS")]
    assert [(check.name, check.status) for check in order.checks] == [
        ("falls with eps", "FAIL"),
        ("large eps", "NOT RUN"),
        ("sigma 0", "DOES NOT APPLY"),
    ]
    logits = stored.checks[0]
    assert (logits.number, logits.threshold, logits.counts["WARN"]) == ("0.1 … 0.25", "0.9", 2)
    assert [(told.meaning, told.places) for told in logits.told] == [("Odd.", ["scores/b", "scores/c"])]
    assert order.checks[1].why_not == [("NOT RUN", "No eps is large.")]


def test_the_section_of_checks_tells_totals_findings_and_why_some_did_not_run(tmp_path: Path) -> None:
    told = section(page(tmp_path, FINDINGS), "checks")
    assert words(told).startswith("Checks ✓ 2 pass ! 2 warn ✗ 1 fail – 1 not run")
    assert "✗ fail Rises. adversarial/x" in words(told)
    assert "Not run: No eps is large." in words(told)
    assert "Does not apply: No sigma is 0." in words(told)
    assert "nan" not in words(told)


def test_families_without_a_doubt_are_folded_and_so_are_many_findings(tmp_path: Path) -> None:
    many = [finding("scores/a", "FAIL", "ladder", "order", meaning=f"Reason {index}.") for index in range(9)]
    told = section(page(tmp_path, [finding("images/test"), *many]), "checks")
    assert told.count('<details class="family">') == 1
    assert told.count('<details class="family" open>') == 1
    assert re.search(r"<details><summary>9 findings</summary>\s*<ul>.*Reason 8\.", told, re.S)


@pytest.mark.parametrize("turned", [False, True], ids=["in order", "turned round"])
def test_who_beats_whom_does_not_depend_on_which_came_first(turned: bool) -> None:
    cells = dict(reversed(AT_EPS.items())) if turned else AT_EPS
    pairs = compared(cells, {frozenset((Defence(), DDPM)), frozenset((Defence(), NOISE))})
    (table,) = rankings(pairs, MARKED, checked([]))
    assert [(place.name, place.upper_bound) for place in table.places] == [
        *[("ddpm 0.1", False), ("no defence", False), ("noise 0.2", True)],
    ]
    assert [(place.beats, place.loses) for place in table.places] == [(1, 0), (0, 1), (0, 0)]
    assert {pair: (round(d.points, 6), d.significant, d.claimed) for pair, d in table.differences.items()} == {
        (0, 1): (76.0, True, True),
        (0, 2): (30.0, False, False),
        (1, 2): (-46.0, True, False),
    }
    ends = table.differences[0, 1]
    assert (round(ends.low, 6), round(ends.high, 6)) == ((74.0, 81.0) if turned else (71.0, 78.0))


def test_who_beats_whom_on_the_page(tmp_path: Path) -> None:
    failed = finding(f"scores/{Cell('resnet', PGD, NOISE).path}", "FAIL")
    told = section(whole_page(tmp_path, [finding("images/test"), failed]), "beats")
    ranking, matrix = re.findall(r"<table.*?</table>", told, re.S)
    assert lines(ranking) == [
        (False, "1 ddpm 0.1 80.0 1 ·"),
        (False, "2 no defence 4.0 · 1"),
        (True, "3 noise 0.2 ✗ ≤ 50.0 · ·"),
    ]
    assert words(matrix) == "2 3 ✗ 1 ddpm 0.1 76.0* 30.0 2 no defence -46.0≤"


@pytest.mark.parametrize(("status", "mark"), [("WARN", "!"), ("NOT RUN", "–")])
def test_a_doubt_stands_in_the_ranking_and_the_grid_with_its_reason(tmp_path: Path, status: str, mark: str) -> None:
    found = finding(f"scores/{Cell('resnet', PGD, NOISE).path}", status, meaning="Nobody looked.")
    html = whole_page(tmp_path, [finding("images/test"), found])
    assert f"noise 0.2 {mark} ≤ 50.0" in words(section(html, "beats"))
    assert '<tr title="Nobody looked.">' in section(html, "beats")
    assert f"≤ 50.0% [47, 53]\n{mark} Nobody looked." in section(html, "grid")
    (line,) = [line for _, line in lines(re.search(r'<table class="sortable">.*?</table>', html, re.S).group(0))
               if "noise 0.2 ≤" in line]  # fmt: skip
    assert f"≤ 50.0 [47, 53] {mark} {status.lower()}" in line


def test_an_upper_bound_is_marked_wherever_it_appears(tmp_path: Path) -> None:
    html = whole_page(tmp_path, [finding("images/test")])
    assert re.findall(r'<td class="stop"[^>]*>(≤ \d+)</td>', section(html, "grid")) == 2 * ["≤ 85", "≤ 50"]
    assert "noise 0.2 upper bound" in words(section(html, "answer"))
    assert "an upper bound there: ddpm, noise." in section(html, "curves"), "ddpm at the smaller eps"
    assert [
        line.split(" pgd")[0]
        for _, line in lines(
            re.search(r"<table.*?</table>.*?(<table.*?</table>)", section(html, "worst"), re.S).group(1)
        )
    ] == ["ddpm 0.1 ≤"]


def test_the_tables_that_the_answer_speaks_of_stand_open() -> None:
    small = compared({c: a for c, a in CELLS.items() if c.attacked == PGD_SMALL}, set())
    both = pd.concat([small, COMPARISONS], ignore_index=True)
    found = beats(both, MARKED, checked([]), [("pgd", EPS)])
    assert [table.eps for table in found["first"]] == [EPS]
    assert [table.eps for table in found["others"]] == [SMALL]
    silent = beats(both, MARKED, checked([]), [])
    assert [table.eps for table in silent["first"]] == [EPS], "the largest, where the answer speaks of none"


def test_comparisons_of_cells_that_the_summary_lacks_are_one_clear_line() -> None:
    with pytest.raises(AssayError, match=r"comparisons\.csv: .*run summarise again"):
        rankings(COMPARISONS, MARKED[MARKED["defence"] != "ddpm"], checked([]))


def test_each_worst_case_stands_beside_its_clean_control(tmp_path: Path) -> None:
    found = worst(WORST_CASES, MARKED, checked([]), [("through", EPS)])
    (ball,), (other,) = found["first"], found["others"]
    assert (ball.eps, other.eps) == (EPS, SMALL)
    assert ball.measures == ["one draw", "majority", "worst of 2"]
    bare, ddpm = ball.rows
    assert (bare.strongest, ddpm.strongest) == ("pgd", "through")
    assert [(round(attacked, 6), round(clean, 6)) for attacked, clean in ddpm.single] == [
        (0.40, 0.90),
        (0.41, 0.91),
        (0.38, 0.88),
    ]
    assert math.isnan(bare.single[2][0]), "one draw has no worst of two"
    assert (ddpm.whole.all_or_nothing, ddpm.whole.clean) == (0.31, 0.87)
    told = section(page(tmp_path, worst_cases=WORST_CASES), "worst")
    assert lines(told)[1] == (False, "ddpm 0.1 through 40.0 / 90.0 41.0 / 91.0 38.0 / 88.0 38.0 / 91.0 31.0 [24, 39] / "
                              "87.0 35.6 ✓ pass")  # fmt: skip


def test_the_strongest_attack_is_one_that_is_judged_on_all_draws() -> None:
    """One who knows the noise meets one draw: of the vote and of repeated asking it says nothing."""
    locked = Cell("resnet", Attacked("resnet", "locked", EPS, DDPM), DDPM)
    known = pd.DataFrame([row(THROUGH_CELL, 0.40) | {"attack": "locked", "threat": "locked", "draws": 1}])
    known = known.assign(accuracy=0.2, worst_of_2=float("nan"), scores=locked.path, upper_bound=False)
    (ball,) = worst(WORST_CASES, pd.concat([MARKED, known]), checked([]), [("through", EPS)])["first"]
    assert ball.attacks == ["pgd", "through", "locked"]
    assert ball.rows[1].strongest == "through"
    assert not any(math.isnan(attacked) for attacked, _ in ball.rows[1].single)


def test_worst_cases_of_cells_that_the_summary_lacks_are_one_clear_line() -> None:
    lacking = MARKED[(MARKED["defence"] != "ddpm") | (MARKED["attack"] == "none")]
    with pytest.raises(AssayError, match=r"worst_case\.csv: has ddpm .*run summarise again"):
        worst(WORST_CASES, lacking, checked([]), [])


def test_a_worst_case_rests_on_every_attack_of_its_ball() -> None:
    judge = checked([finding(STACK, "FAIL")])
    statuses = {
        (ball.eps, row.name): row.verdict.status for ball in balls(WORST_CASES, MARKED, judge) for row in ball.rows
    }
    assert [key for key, status in statuses.items() if status == "FAIL"] == [(EPS, "ddpm 0.1")]


@pytest.mark.parametrize("cut", [1, 2, 30, 150])
@pytest.mark.parametrize("name", ["checks", "comparisons", "worst_case", "strongest", "resubmission"])
def test_a_truncated_table_is_one_clear_line(tmp_path: Path, name: str, cut: int) -> None:
    whole_page(tmp_path, FINDINGS)
    (tmp_path / "report.html").unlink()
    path = tmp_path / f"{name}.csv"
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(AssayError, match=rf"{name}\.csv: .*delete it and run again") as caught:
        (tmp_path / "report.html").write_text(render(tmp_path, STUDY, {}, {}), encoding="utf-8")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("name", ["checks", "comparisons", "worst_case", "strongest", "resubmission"])
def test_a_missing_table_is_named(tmp_path: Path, name: str) -> None:
    whole_page(tmp_path, FINDINGS)
    (tmp_path / f"{name}.csv").unlink()
    with pytest.raises(AssayError, match=rf"{name}\.csv: not found"):
        (tmp_path / "report.html").write_text(render(tmp_path, STUDY, {}, {}), encoding="utf-8")


def test_a_status_that_no_check_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssayError, match=r"checks\.csv: line 3 is incomplete"):
        page(tmp_path, [finding("images/test"), finding("images/test", "MAYBE")])


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    write_tables(tmp_path, SUMMARY, FINDINGS, COMPARISONS, WORST_CASES, STRONGEST)
    assert len(read_strongest(tmp_path / "strongest.csv")) == len(STRONGEST)
    assert len(read_comparisons(tmp_path / "comparisons.csv")) == len(COMPARISONS)
    assert len(read_worst_cases(tmp_path / "worst_case.csv")) == len(WORST_CASES)
    assert read_checks(tmp_path / "checks.csv")["subject"].tolist() == [line["subject"] for line in FINDINGS]
    assert len(read_summary(tmp_path / "summary.csv")) == len(SUMMARY)


def test_a_study_without_attacks_or_defences_says_so(tmp_path: Path) -> None:
    html = page(tmp_path, summary=SUMMARY[:1])
    assert "the study attacks nothing" in section(html, "worst")
    assert "There is nothing to compare" in section(html, "beats")
    assert "✓ 1 pass" in words(section(html, "checks"))


def test_a_status_is_never_told_by_colour_alone(tmp_path: Path) -> None:
    html = whole_page(tmp_path, FINDINGS)
    marks = {words(said) for said in re.findall(r'<span class="status [^>]*>(.*?)</span>', html, re.S)}
    assert all(re.fullmatch(r"[✓!✗–·] (\d+ )?(pass|warn|fail|not run|does not apply)", said) for said in marks)


def test_what_a_check_says_is_text_and_never_markup(tmp_path: Path) -> None:
    html = whole_page(tmp_path, [finding(STACK, "FAIL", meaning='<b>"bold" & <script>.')])
    assert "&lt;script&gt;" in html
    assert html.count("<script>") == 1


def test_same_tables_same_bytes(tmp_path: Path) -> None:
    assert whole_page(tmp_path, FINDINGS) == whole_page(tmp_path, FINDINGS)


def test_two_attacks_of_one_method_and_threat_are_two_lines(tmp_path: Path) -> None:
    again = SUMMARY[SUMMARY["attack"] == "pgd"].assign(attack="more")
    study = made_up({"pgd": "transfer", "more": "transfer", "through": "adaptive"})
    summary = pd.concat([SUMMARY, again], ignore_index=True)
    write_tables(tmp_path, summary, strongest=strongest_of(summary, study))
    (tmp_path / "report.html").write_text(render(tmp_path, study, {}, {}), encoding="utf-8")
    curves = section((tmp_path / "report.html").read_text(), "curves")
    panel = re.search(r"<h4>ddpm</h4>.*?</svg>", curves, re.S).group(0)
    lines_of_ddpm = re.findall(r'<path class="line" d="([^"]*)"', panel)
    assert [path.count("L") for path in lines_of_ddpm] == [2, 2, 1, 2], (
        "no defence, pgd, through, more: each from clean on"
    )
