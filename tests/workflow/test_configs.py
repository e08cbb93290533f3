"""Every study that comes with the project can be planned."""

import shutil

import pytest
from checkout import CONFIG, ROOT, Checkout

from assay.study.parse import parse_study

STUDIES = sorted(path.name for path in (ROOT / "config").glob("*.yaml"))


# What a user brings for a study, so that it can be planned: files that begin as they must.
BROUGHT = {
    "attention-imagenet.yaml": {
        "data/imagenet/ILSVRC2012_img_val.tar": b"",
        "data/imagenet/ILSVRC2012_devkit_t12.tar.gz": b"",
        "weights/256x256_diffusion_uncond.pt": b"PK",
    }
}


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_that_comes_with_the_project_is_planned_to_its_report(name: str, fresh: Checkout) -> None:
    shutil.copy(ROOT / "config" / name, fresh.root / CONFIG)
    for path, content in BROUGHT.get(name, {}).items():
        (fresh.root / path).parent.mkdir(parents=True, exist_ok=True)
        (fresh.root / path).write_bytes(content)
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
