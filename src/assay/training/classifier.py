"""The train_classifier stage."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from assay import device as devices
from assay import modules
from assay.artifacts import Wanted
from assay.inputs import Inputs
from assay.networks.classifier import LIBRARIES, WEIGHTS, build_classifier, name_of, write_classifier
from assay.networks.start import start_from
from assay.networks.validation import check_stack
from assay.noise import derive_seed
from assay.program import provenance
from assay.resume import Resume
from assay.study.classifiers import ClassifierSpec
from assay.training.checkpoints import Checkpoints
from assay.training.fit import fit
from assay.training.objective import Task, write_history
from assay.training.ranks import join_ranks


def train_classifier(spec: ClassifierSpec, code: str, inputs: Inputs, out: Path, threads: int) -> None:
    """Train the classifier of a spec on the input `train`; weights, history and manifest go to `out`.

    A training that diverged, where its config asks for a record of that, leaves no weights there; one that needs the
    weights of such a network leaves nothing.
    """
    device = devices.prepare(threads)
    inputs = inputs.on(device)
    described = spec.classifier
    ranks = join_ranks(described, device)
    wanted = Wanted(out, "classifier", spec.model_dump(mode="json"), code, inputs.manifests())
    if ranks.agree(ranks.first and wanted.is_there(), device):
        ranks.close()
        return
    training, held_out = inputs.images("train"), inputs.images("validation")
    seed = derive_seed(spec.seed, "classifier", described.seed)
    torch.manual_seed(seed >> 1)
    network = build_classifier(described, len(training.classes))
    if described.start:
        state = load_file(inputs.folder("start") / WEIGHTS)
        start_from(network, state, f"start: {described.start}", name_of(described), other_head=True)
    network = network.to(device)
    check_stack(network, held_out, len(training.classes), name_of(described), device)
    objective = modules.build(described.objective, Task(network, described, held_out, inputs, seed, device))
    resume = Resume(out, wanted.work)
    checkpoints = Checkpoints(resume.path("checkpoint.pt"))
    trained = fit(objective, training, described, seed, checkpoints, ranks, device, "train classifier")
    ranks.close()
    if not ranks.first:
        return
    made_by = provenance(LIBRARIES, devices.name(device))
    with wanted.write(made_by) as draft:
        write_history(draft, trained.history)
        if trained.diverged:
            draft.facts["diverged"] = trained.diverged
        else:
            write_classifier(draft, network, described, training.classes)
            objective.write(draft, trained.history)
    resume.clear()
