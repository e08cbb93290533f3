"""Every study that comes with the project can be planned."""

import shutil

import pytest
from checkout import CONFIG, ROOT, Checkout

from assay.study.parse import parse_study

STUDIES = sorted(path.name for path in (ROOT / "config").glob("*.yaml"))


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_that_comes_with_the_project_is_planned_to_its_report(name: str, fresh: Checkout) -> None:
    shutil.copy(ROOT / "config" / name, fresh.root / CONFIG)
    config = fresh.config()
    planned = fresh.plan()
    assert {"prepare_images test", "check_images", "summarise", "check", "report"} <= planned
    study = parse_study(config, name)
    networks = {
        f"{'import' if network.kind == 'published' else 'train'}_{kind} {key}"
        for kind in ("classifier", "diffusion")
        for key, network in getattr(study, f"{kind}s").items()
    }
    assert {job for job in planned if job.startswith(("train", "import"))} == networks
