"""The grid as text has every attacked cell, its interval and its clean control."""

import pandas as pd

from assay.reporting.text import text_classes, text_grid


def row(attack: str, eps: float, defence: str, sigma: float, accuracy: float) -> dict:
    return {
        "classifier": "net",
        "attack": attack,
        "threat": "none" if attack == "none" else "transfer",
        "eps": eps,
        "defence": defence,
        "sigma": sigma,
        "accuracy": accuracy,
        "ci_low": accuracy - 0.1,
        "ci_high": accuracy + 0.1,
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


def test_classes_are_columns_by_name() -> None:
    cells = [row("none", 0, "none", 0, 0.9), row("pgd", 4 / 255, "none", 0, 0.3)]
    table = pd.DataFrame([cell | {"name": name} for cell in cells for name in ("normal", "tumour")])
    clean, attacked = text_classes(table).split("\n\n")
    assert clean.splitlines()[0] == "net, clean images"
    assert clean.splitlines()[1].split() == ["normal", "tumour"]
    assert attacked.splitlines()[0] == "net, pgd at eps 4/255"
    assert attacked.splitlines()[2].count("30.0 [20, 40]") == 2
