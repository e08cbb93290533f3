"""The report in a real browser (headless Chromium; skipped where there is none): what is there once its script ran."""

import html
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from assay.reporting.page import render
from study_tables import made_up, strongest_of, write_tables

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND"),
)
PHONE = 400  # pixels
EPS = 8 / 255

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not on the PATH")


def summary() -> pd.DataFrame:
    """A study of one classifier, clean and attacked, bare and with two defences, one of them attacked through."""
    cells = [
        (attack, threat, defence, eps, accuracy)
        for eps, drop in ((0.0, 0.0), (EPS / 2, 0.2), (EPS, 0.4))
        for attack, threat, defence, accuracy in (
            *(("pgd", "transfer", defence, 0.9 - drop) for defence in ("none", "noise", "ddpm")),
            *((("through", "adaptive", "ddpm", 0.8 - drop),) if eps else ()),
        )
    ]
    rows = []
    for attack, threat, defence, eps, accuracy in cells:
        attack, threat, norm = (attack, threat, "Linf") if eps else ("none", "none", "none")
        sigma = 0.0 if defence == "none" else 0.1
        cell = {"classifier": "resnet", "attack": attack, "threat": threat, "norm": norm, "eps": eps}
        cell |= {"defence": defence, "sigma": sigma, "images": 100, "draws": 3, "accuracy": accuracy}
        cell |= {"ci_low": accuracy - 0.05, "ci_high": accuracy + 0.05}
        rows.append(cell | {"scores": f"resnet/{attack}/{eps:g}/{threat}/{defence}/sigma-{sigma:g}"})
    return pd.DataFrame(rows)


def browse(path: Path) -> tuple[str, str]:
    """The page's elements after its script ran, and what the browser logged."""
    profile = path.parent / "profile"
    command = [CHROMIUM, *QUIET, "--enable-logging=stderr", f"--user-data-dir={profile}", "--virtual-time-budget=5000"]
    done = subprocess.run([*command, "--dump-dom", path.as_uri()], capture_output=True, text=True, check=True)
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    study = made_up({"pgd": "transfer", "through": "adaptive"})
    write_tables(folder, summary(), strongest=strongest_of(summary(), study))
    (folder / "report.html").write_text(render(folder, study, {}, {}), encoding="utf-8")
    return folder / "report.html"


@pytest.fixture(scope="module")
def browsed(report: Path) -> tuple[str, str]:
    return browse(report)


def test_the_page_names_nothing_outside_itself(browsed: tuple[str, str]) -> None:
    page, _ = browsed
    addresses = re.findall(r'(?:href|src|srcset|action|data)="([^"]*)"', page)
    assert addresses
    assert all(address.startswith(("#", "data:")) for address in addresses)
    assert not re.search(r"https?://|@import|url\(", page)


def test_the_script_runs_without_an_error(browsed: tuple[str, str]) -> None:
    page, log = browsed
    assert "Uncaught" not in log
    assert '<div class="tip"' in page
    assert "<button>accuracy</button>" in page


def test_each_chart_is_one_stop_of_the_tab_key_and_every_mark_has_a_name(browsed: tuple[str, str]) -> None:
    page, _ = browsed
    charts = re.split(r'class="chart ', page)[1:]
    assert len(charts) >= 6
    for chart in charts:
        marks = re.findall(r'<[^>]*class="[^"]*\bstop\b[^"]*"[^>]*>', re.split(r"</section>", chart)[0])
        assert [re.search(r'tabindex="(-?\d)"', mark).group(1) for mark in marks].count("0") == 1
        assert all(re.search(r'aria-label="[^"]+%', mark) for mark in marks)


def test_nothing_is_wider_than_a_phone(report: Path) -> None:
    measure = "document.title = document.querySelector('iframe').contentDocument.documentElement.scrollWidth"
    frame = (
        f'<iframe style="border:0;width:{PHONE}px;height:800px" srcdoc="{html.escape(report.read_text())}"></iframe>'
    )
    path = report.with_name("phone.html")
    path.write_text(f'<!doctype html><body onload="{measure}">{frame}</body>')
    page, _ = browse(path)
    assert int(re.search(r"<title>(\d+)</title>", page).group(1)) <= PHONE
