"""The probe stage: what can be measured of an attack on a few images, with the networks at hand. It judges nothing."""

from __future__ import annotations

from pathlib import Path

from assay import device as devices
from assay.attacks.threats.victim import Victim, build_victim
from assay.evaluation.probes.active import probe_active
from assay.evaluation.probes.convergence import probe_convergence
from assay.evaluation.probes.gradients import probe_gradients
from assay.evaluation.probes.sample import take
from assay.files import artifact, write_json
from assay.program import provenance
from assay.stacks import read_stack
from assay.study.attacks import Attack
from assay.study.fields import SELECTED
from assay.study.probing import ProbeSpec
from assay.study.selection import read_sigma, require_selected

PROBE = "probe.json"


def probe_attack(
    spec: ProbeSpec,
    code: str,
    images: Path,
    attacked: Path,
    classifier: Path,
    diffusion: Path | None,
    out: Path,
    threads: int,
    selected: Path | None = None,
) -> None:
    """Write `probe.json`: what each probe that the spec asks for measured of the attack that made the stack `attacked`
    of the stack `images`. `selected` is the file of the study's selected sigma, for a victim whose defence has it."""
    device = devices.prepare(threads)
    folders = {"images": images, "attacked": attacked, "classifier": classifier}
    folders |= {"diffusion": diffusion} if diffusion else {}
    inputs = {name: folder / "manifest.json" for name, folder in folders.items()}
    known = spec
    if spec.purifier and spec.purifier["sigmas"] == [SELECTED]:
        inputs["sigma"] = require_selected(selected)
        known = spec.model_copy(update={"purifier": spec.purifier | {"sigmas": [read_sigma(inputs["sigma"])]}})
    sample = take(read_stack(images), read_stack(attacked), spec.checks.images, device)

    def build(attack: Attack) -> Victim:
        own = known.model_copy(update={"attack": attack})
        return build_victim(own, classifier, diffusion, device).to(device).eval().requires_grad_(False)

    found = {}
    if spec.checks.gradients:
        found["gradients"] = probe_gradients(build(spec.attack), sample)
    if spec.checks.convergence:
        found["convergence"] = probe_convergence(spec.attack, build, sample, spec.seed)
    if spec.checks.active:
        found["active"] = probe_active(spec.attack, build(spec.attack), sample, spec.seed)
    made_by = provenance(("torch", "torchattacks", "numpy"), devices.name(device))
    with artifact(out, "probe", spec.model_dump(mode="json"), code, inputs, made_by) as draft:
        draft.facts["images"] = len(sample.keys)
        write_json(draft.path(PROBE), found)
