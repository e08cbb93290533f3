"""The grid as text has every attacked cell, its interval and its clean control."""

import pandas as pd

from assay.reporting.beats import Difference
from assay.reporting.strongest import as_rows, with_bounds
from assay.reporting.text import LEGEND, text_classes, text_differences, text_grid, text_strongest
from study_tables import made_up, strongest_of

STUDY = made_up({"pgd": "transfer", "through": "adaptive"})


def row(attack: str, eps: float, defence: str, sigma: float, accuracy: float) -> dict:
    return {
        "classifier": "net",
        "attack": attack,
        "threat": "none" if attack == "none" else "transfer",
        "norm": "none" if attack == "none" else "Linf",
        "eps": eps,
        "defence": defence,
        "sigma": sigma,
        "accuracy": accuracy,
        "ci_low": accuracy - 0.1,
        "ci_high": accuracy + 0.1,
        "images": 100,
        "draws": 3,
        "scores": f"net/{attack}/{eps}/{defence}/sigma-{sigma}",
        "upper_bound": False,
    }


def test_a_block_has_its_defences_their_clean_control_and_a_dash_where_nothing_was_measured() -> None:
    summary = pd.DataFrame(
        [
            row("none", 0, "none", 0, 0.9),
            row("none", 0, "noise", 0.1, 0.8),
            row("none", 0, "noise", 0.2, 0.7),
            row("pgd", 4 / 255, "none", 0, 0.3),
            row("pgd", 8 / 255, "noise", 0.1, 0.456),
        ]
    )
    title, head, first, second = text_grid(summary).splitlines()
    assert title == "net, pgd (transfer)"
    assert head.split() == ["clean", "4/255", "8/255"]
    assert "90.0 [80, 100]" in first
    assert "30.0 [20, 40]" in first
    assert "80.0 [70, 90]" in second
    assert "45.6 [36, 56]" in second
    assert "–" in second
    assert "70.0" not in text_grid(summary)


def test_the_strongest_attacks_come_first_with_upper_bounds_marked_and_below() -> None:
    cells = [row("none", 0, name, sigma, 0.9) for name, sigma in (("none", 0), ("noise", 0.1), ("ddpm", 0.1))]
    cells += [row("pgd", eps, "none", 0, 0.1) for eps in (8 / 255, 4 / 255)]
    cells += [row("pgd", 8 / 255, name, 0.1, 0.7) for name in ("noise", "ddpm")]
    cells += [row("through", 8 / 255, "ddpm", 0.1, 0.4)]
    summary = pd.DataFrame(cells)
    strongest = strongest_of(summary, STUDY)
    summary = with_bounds(summary, strongest)
    block, legend = text_strongest(as_rows(strongest, summary), summary).split("\n\n")
    assert block.splitlines()[0] == "net, strongest attack on each image (Linf)"
    assert block.splitlines()[1].split() == ["clean", "4/255", "8/255"]
    assert [line.split("  ")[0] for line in block.splitlines()[2:]] == [
        *["ddpm at sigma 0.1", "no defence", "noise at sigma 0.1"],
    ]
    assert "40.0 [30, 50]" in block.splitlines()[2]
    assert "≤ 70.0 [60, 80]" in block.splitlines()[4]
    assert legend == LEGEND
    assert text_grid(summary).count("≤ 70.0") == 1, "ddpm was attacked directly there"


def test_a_study_without_attacks_has_no_strongest_one() -> None:
    summary = pd.DataFrame([row("none", 0, "none", 0, 0.9)])
    assert text_strongest(as_rows(strongest_of(summary, STUDY), summary), summary) == ""


def test_where_an_interval_should_be_too_few_slides_are_named() -> None:
    none = {"ci_low": float("nan"), "ci_high": float("nan")}
    summary = pd.DataFrame([row("none", 0, "none", 0, 0.9) | none, row("pgd", 4 / 255, "none", 0, 0.3) | none])
    assert "30.0 [too few slides]" in text_grid(summary)
    assert "≤ 30.0 [too few slides]" in text_grid(summary.assign(upper_bound=True))
    absent = pd.DataFrame([row("none", 0, "none", 0, float("nan")) | none | {"name": "normal"}])
    assert text_classes(absent).splitlines()[2].split()[-1] == "–"


def compared(winner: str, detectable: float, p: float = 0.3, claim: str | None = None) -> dict:
    found = {"winner": winner, "claim": claim or winner, "detectable": detectable, "p_holm": p}
    return row("pgd", 4 / 255, "a", 0, 0) | found


def test_of_pairs_that_do_not_differ_it_is_told_what_could_have_been_seen() -> None:
    nan = float("nan")
    some, one = compared("none", 0.031), compared("a", 0.02)
    under = "net, pgd at eps 4/255: "
    assert text_differences(pd.DataFrame([one, some, compared("none", 0.04)])) == (
        under + "1 of 3 pairs differ significantly; the rest could have seen 3.1 to 4.0 points"
    )
    assert text_differences(pd.DataFrame([some])).endswith("the rest could have seen 3.1 points")
    assert text_differences(pd.DataFrame([one])) == under + "1 of 1 pair differ significantly"
    bound = compared("b", 0.02, claim="upper bound")
    assert text_differences(pd.DataFrame([one, bound, some])) == (
        under
        + "2 of 3 pairs differ significantly, 1 of them only by an upper bound; the rest could have seen 3.1 points"
    )
    refused = pd.DataFrame([compared("none", nan, nan)])
    assert text_differences(refused).endswith("0 of 1 pair differ significantly; too few slides to see any difference")


def test_a_difference_tells_what_it_could_have_seen_only_where_it_is_not_significant() -> None:
    nan = float("nan")
    assert (
        Difference(1.0, -1.0, 3.0, 0.4, False, False, 4.2).told
        == "+1.0 points [-1.0, +3.0], p = 0.4; could have seen 4.2"
    )
    for claimed in (True, False):
        assert Difference(5.0, 1.0, 9.0, 0.01, True, claimed, 4.2).told == "+5.0 points [+1.0, +9.0], p = 0.01"
    assert Difference(5.0, nan, nan, nan, False, False, nan).told == "+5.0 points, too few slides"


def test_classes_are_columns_by_name() -> None:
    cells = [row("none", 0, "none", 0, 0.9), row("pgd", 4 / 255, "none", 0, 0.3)]
    table = pd.DataFrame([cell | {"name": name} for cell in cells for name in ("normal", "tumour")])
    clean, attacked = text_classes(table).split("\n\n")
    assert clean.splitlines()[0] == "net, clean images"
    assert clean.splitlines()[1].split() == ["normal", "tumour"]
    assert attacked.splitlines()[0] == "net, pgd at eps 4/255"
    assert attacked.splitlines()[2].count("30.0 [20, 40]") == 2
