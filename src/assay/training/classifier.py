"""The train_classifier stage."""

from __future__ import annotations

import importlib
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F

from assay import device as devices
from assay.files import artifact
from assay.inputs import Inputs
from assay.networks.classifier import LIBRARIES, Normalised, build_classifier, write_classifier
from assay.networks.validation import check_logits, validate
from assay.noise import derive_seed
from assay.program import provenance
from assay.progress import track
from assay.resume import Resume, resume_key
from assay.stacks import FLOAT_FORMAT, Stack, to_pixels
from assay.study.classifiers import Classifier, ClassifierSpec
from assay.training.ranks import Ranks, join_ranks
from assay.training.regime import Regime
from assay.training.steps import Checkpoints, cosine_rate, flip, flip_coins, one_cycle_rate, step_rows


def train_classifier(spec: ClassifierSpec, code: str, inputs: Inputs, out: Path, threads: int) -> None:
    """Train the classifier of a spec on the input `train`; weights, history and manifest go to `out`."""
    device = devices.prepare(threads)
    ranks = join_ranks(spec.classifier.batch_size, device)
    training, held_out = inputs.images("train"), inputs.images("validation")
    classes = training.classes
    seed = derive_seed(spec.seed, "classifier", spec.classifier.seed)
    torch.manual_seed(seed >> 1)
    model = build_classifier(spec.classifier, len(classes)).to(device)
    check_logits(model, training, len(classes), spec.classifier.network, device)
    regime = _regime(spec.classifier, held_out, seed, ranks)
    resume = Resume(out, resume_key(spec.model_dump(mode="json"), code, inputs.manifests()))
    checkpoints = Checkpoints(resume.path("checkpoint.pt"))
    history = _fit(model, spec.classifier, regime, training, held_out, seed, device, checkpoints, ranks)
    ranks.close()
    if not ranks.first:
        return
    made_by = provenance(LIBRARIES, devices.name(device))
    with artifact(out, "classifier", spec.model_dump(mode="json"), code, inputs.manifests(), made_by) as draft:
        write_classifier(draft, model, spec.classifier, classes)
        draft.facts |= regime.facts(history)
        pd.DataFrame(history).to_csv(
            draft.path("history.csv"), index=False, lineterminator="\n", float_format=FLOAT_FORMAT
        )
    resume.clear()


def _regime(classifier: Classifier, held_out: Stack, seed: int, ranks: Ranks) -> Regime:
    """Plain training, or adversarial: a module of its own, which only those classifiers depend on that use it."""
    if classifier.adversarial is None:
        return Regime()
    module = importlib.import_module("assay.training.objectives.adversarial")
    return module.Adversarial(classifier.adversarial, held_out, seed, ranks)


def _fit(
    model: Normalised,
    classifier: Classifier,
    regime: Regime,
    training: Stack,
    held_out: Stack,
    seed: int,
    device: torch.device,
    checkpoints: Checkpoints,
    ranks: Ranks,
) -> list[dict[str, float]]:
    """AdamW on the cross-entropy; the history has one row an epoch."""
    labels = torch.from_numpy(training.labels.astype("int64"))
    optimiser = torch.optim.AdamW(model.parameters(), lr=classifier.learning_rate, weight_decay=classifier.weight_decay)
    per_epoch = max(1, len(labels) // classifier.batch_size)
    steps = classifier.epochs * per_epoch
    history: list[dict[str, float]] = []
    first, loss_sum = 0, 0.0
    if state := checkpoints.load():
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        history, first, loss_sum = state["history"], state["step"], state["loss_sum"]
        regime.restore(state["regime"])
    rate = one_cycle_rate if classifier.schedule == "one_cycle" else lambda step, steps: cosine_rate(step, steps, 0)
    rows = step_rows(len(labels), classifier.batch_size, seed, first, steps)
    network = ranks.parallel(model)
    model.train()
    for step, chosen in track(rows, "train classifier", steps, done=first):
        learning_rate = classifier.learning_rate * rate(step, steps)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate
        mine = ranks.share(chosen)
        images = torch.from_numpy(to_pixels(training.images[mine.numpy()])).to(device)
        if classifier.flips:
            images = flip(images, ranks.share(flip_coins(len(chosen), seed, step)))
        wanted = labels[mine].to(device)
        images = regime.show(model, images, wanted, len(chosen), step, step / per_epoch)
        with devices.training_precision(device):
            loss = F.cross_entropy(network(images).float(), wanted)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        loss_sum += ranks.mean(loss)
        if (step + 1) % per_epoch == 0:
            validation_loss, accuracy = validate(model, held_out, device)
            history.append(
                {
                    "epoch": (step + 1) // per_epoch,
                    "train_loss": loss_sum / per_epoch,
                    "validation_loss": validation_loss,
                    "validation_accuracy": accuracy,
                    **regime.judge(model, len(history), device),
                    "learning_rate": learning_rate,
                }
            )
            loss_sum = 0.0
            model.train()
            if ranks.agree(regime.ended(len(history)), device):
                break
        if ranks.agree(checkpoints.due(), device):
            if ranks.first:
                checkpoints.save(
                    {
                        "model": model.state_dict(),
                        "optimiser": optimiser.state_dict(),
                        "history": history,
                        "step": step + 1,
                        "loss_sum": loss_sum,
                        "regime": regime.state(),
                    }
                )
            if ranks.agree(checkpoints.last_call(), device):
                raise checkpoints.out_of_time()
    regime.finish(model)
    return history
