"""The probe stage: what can be measured of an attack on a few images, with the networks at hand. It judges nothing."""

from __future__ import annotations

from pathlib import Path

from assay import device as devices
from assay.artifacts import Wanted
from assay.attacks.threats.victim import Victim, build_victim
from assay.evaluation.probes.active import probe_active
from assay.evaluation.probes.continued import probe_blinder, probe_convergence
from assay.evaluation.probes.gradients import probe_gradients
from assay.evaluation.probes.sample import fewer, take
from assay.files import write_json
from assay.inputs import Inputs
from assay.program import provenance
from assay.study.attacks import Attack
from assay.study.checks import FEW
from assay.study.probing import ProbeSpec

PROBE = "probe.json"


def probe_attack(
    spec: ProbeSpec,
    code: str,
    inputs: Inputs,
    out: Path,
    threads: int,
) -> None:
    """Write `probe.json`: what each probe that the spec asks for measured of the attack that made the input `attacked`
    of the input `images`."""
    wanted = Wanted(out, "probe", spec.model_dump(mode="json"), code, inputs.manifests())
    if wanted.is_there():
        return
    device = devices.prepare(threads)
    inputs = inputs.on(device)
    sample = take(inputs.images(), inputs.images("attacked"), spec.checks.images, device)

    def build(attack: Attack) -> Victim:
        return build_victim(spec.model_copy(update={"attack": attack}), inputs)

    few, found = fewer(sample, FEW), {}
    if spec.checks.gradients:
        found["gradients"] = probe_gradients(spec.attack, build(spec.attack), few, spec.seed)
    if spec.checks.convergence:
        found["convergence"] = probe_convergence(spec.attack, build, sample, spec.seed)
    if spec.checks.blinder:
        found["blinder"] = probe_blinder(spec.attack, build, sample, spec.seed, defended=spec.purifier is not None)
    if spec.checks.active:
        found["active"] = probe_active(spec.attack, build(spec.attack), few, spec.seed)
    made_by = provenance(("torch", *spec.attack.libraries, "numpy"), devices.name(device))
    with wanted.write(made_by) as draft:
        draft.facts["images"] = len(sample.keys)
        write_json(draft.path(PROBE), found)
