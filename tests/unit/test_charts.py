"""The chart layer: every mark has a name, text is escaped, ticks do not collide, equal input gives equal bytes."""

import re

import pytest

from assay.reporting.charts.heat import Cell, heat
from assay.reporting.charts.legend import Key, legend
from assay.reporting.charts.plot import Line, Point, Rule, numbers, plot, shares, values
from assay.reporting.charts.rows import Row, Value, rows

EVIL = '<script>"&'


def points(count: int) -> list[Point]:
    return [Point(index, index / count, f"point {index}") for index in range(count)]


def names(figure: str) -> list[str]:
    """The accessible names of the marks that the keyboard reaches."""
    return re.findall(r'tabindex="0"(?: role="img")? aria-label="([^"]*)"', figure)


def axis(figure: str) -> list[str]:
    return re.findall(r'<text class="tick" [^>]*>([^<]*)<', figure)


def test_every_mark_of_every_chart_has_a_name_that_the_keyboard_reaches() -> None:
    line = plot("t", [Line(points(3))], numbers("x", [0, 2]), shares(), [Rule("a rule", y=0.5)])
    assert names(line) == ["a rule", "point 0", "point 1", "point 2"]
    assert names(rows("t", [Row("a", [Value(0.5, "bar", "50"), Value(0.6, "mark", "60", kind="mark")])])) == [
        "bar",
        "mark",
    ]
    assert names(heat("t", "eps", ["a", "b"], [("row", [Cell(0.5, "50", "cell"), None])])) == ["cell"]


def test_text_is_escaped_everywhere() -> None:
    figures = [
        plot(EVIL, [Line([Point(0, 0.5, EVIL)])], values(EVIL, [(0.0, EVIL)]), shares(EVIL), [Rule(EVIL, x=0.0)]),
        rows(EVIL, [Row(EVIL, [Value(0.5, EVIL, EVIL)], EVIL)], EVIL),
        heat(EVIL, EVIL, [EVIL], [(EVIL, [Cell(0.5, EVIL, EVIL)])]),
        legend([Key(EVIL)]),
    ]
    assert all("<script" not in figure for figure in figures)


def test_a_dense_line_has_few_marks_and_a_faint_one_none() -> None:
    dense = plot("t", [Line(points(300), dense=True)], numbers("x", [0, 299]), shares())
    assert 10 <= len(names(dense)) <= 25
    assert names(plot("t", [Line(points(3), faint=True)], numbers("x", [0, 2]), shares())) == []


def test_a_step_line_keeps_its_value_until_the_next_point() -> None:
    stepped = plot("t", [Line(points(2), step=True)], numbers("x", [0, 1]), shares())
    assert re.search(r'class="line" d="M[\d. ]+H[\d.]+V[\d.]+"', stepped)


def test_what_failed_a_check_is_marked_in_every_chart() -> None:
    line = plot("t", [Line([Point(0, 0.5, "a", doubted=True)])], numbers("x", [0]), shares())
    bars = rows("t", [Row("a", [Value(0.5, "a", "50", doubted=True)])])
    cells = heat("t", "", ["a"], [("a", [Cell(0.5, "50", "a", doubted=True)])])
    assert all('class="stop doubted"' in figure for figure in (line, bars, cells))
    assert "✗ 50" in bars


def test_ticks_that_would_collide_are_left_out_and_the_last_stays() -> None:
    crowded = values("x", [(value / 255, f"{value}/255") for value in (1, 2, 3, 4, 64)])
    shown = axis(plot("t", [Line([Point(64 / 255, 0.5, "a")])], crowded, shares()))
    assert shown[-1] == "64/255"
    assert len(shown) < 5


@pytest.mark.parametrize("found", [[0.0], [0.5, 0.5], [1e-4, 3.0], [-2.0, 5.0], [float("nan")], []])
def test_axes_of_numbers_hold_any_numbers(found: list[float]) -> None:
    for log in (False, True):
        made = numbers("loss", found, log)
        assert made.low < made.high
        assert 1 <= len(made.ticks) <= 9
        assert all(0 <= made.at(tick) <= 1 for tick, _ in made.ticks)


def test_equal_input_gives_equal_bytes() -> None:
    def drawn() -> str:
        return plot("t", [Line(points(9))], numbers("x", [0, 8]), shares())

    assert drawn() == drawn()
