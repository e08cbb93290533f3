"""A stack that is too large for one job is computed in parts, which give the bytes of a stack computed whole."""

import shutil

from checkout import Checkout

PGD = "resnet/pgd/eps-4_255/undefended"
PURIFIED = f"purified/{PGD}/oneshot/sigma-0.1"


def in_parts(study: Checkout) -> None:
    config = study.config()
    config["evaluation"]["images_per_job"] = 4
    study.set_config(config)


def test_a_stack_in_parts_has_the_bytes_of_one_computed_whole(study: Checkout) -> None:
    whole = study.contents()
    in_parts(study)
    for folder in (f"adversarial/{PGD}", PURIFIED):
        shutil.rmtree(study.results / folder)
    target = f"results/tiny/{PURIFIED}/manifest.json"
    planned = study.plan(target)
    assert {job for job in planned if "_part" in job} == {
        *(f"attack_part {PGD} {part}" for part in ("1-of-2", "2-of-2")),
        *(f"purify_part {PGD} oneshot 0.1 {part}" for part in ("1-of-2", "2-of-2")),
    }
    output = study.complete("--cores", "2", target)
    assert output.count("1 batches in") == 4
    assert output.count("resumed, 2 of 2 batches were done") == 2
    assert study.contents() == whole
    assert study.litter() == []


def test_a_part_that_is_lost_is_computed_by_the_job_that_puts_the_stack_together(study: Checkout) -> None:
    whole = study.contents()
    in_parts(study)
    shutil.rmtree(study.results / f"adversarial/{PGD}")
    target = f"results/tiny/adversarial/{PGD}/manifest.json"
    study.complete("--cores", "2", f"results/tiny/adversarial/{PGD}.part-1-of-2", "--notemp")
    for batch in study.results.rglob("batch-000000.npz"):
        batch.unlink()
    study.complete("--cores", "2", target)
    assert study.contents() == whole
