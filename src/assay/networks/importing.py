"""The import_classifier stage: a classifier that was published elsewhere becomes an artifact like a trained one."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from assay import device as devices
from assay.artifacts import Wanted
from assay.inputs import Inputs
from assay.networks.classifier import LIBRARIES, Normalised, build_classifier, name_of, write_classifier
from assay.networks.published import Source, load_state, note
from assay.networks.published_classifier import Published, read_published
from assay.networks.validation import check_stack, logits_of
from assay.planning.published import check_classes
from assay.program import provenance
from assay.stacks import Stack
from assay.study.classifiers import PublishedClassifierSpec


def import_classifier(spec: PublishedClassifierSpec, code: str, inputs: Inputs, out: Path, threads: int) -> None:
    """Import the classifier of a spec, judged by the input `validation`; weights and manifest go to `out`."""
    wanted = Wanted(out, "classifier", spec.model_dump(mode="json"), code, inputs.manifests())
    if wanted.is_there():
        return
    device = devices.prepare(threads)
    held_out = inputs.images("validation")
    source = Source(spec.classifier.published, spec.classifier.revision)
    published = read_published(spec.classifier, source)
    classes = held_out.classes
    check_classes(source.published, published.classes, len(classes))
    model, name = build_classifier(published.network, len(classes)), name_of(published.network)
    bare = model.network if isinstance(model, Normalised) else model
    load_state(bare, published.state, source.published, name)
    model = model.to(device)
    check_stack(model, held_out, len(classes), name, device)
    logits = logits_of(model, held_out, device).cpu()
    warnings = _warnings(published, logits, held_out)
    for warning in warnings:
        note(f"{source.published}: {warning}")
    made_by = provenance(LIBRARIES, devices.name(device))
    with wanted.write(made_by) as draft:
        draft.sources |= source.read
        write_classifier(draft, model, published.network, classes)
        draft.facts |= {
            "published_sha256": published.sha256,
            "validation_accuracy": _accuracy(logits, held_out),
            "warnings": warnings,
        }


def _warnings(published: Published, logits: Tensor, held_out: Stack) -> list[str]:
    """What makes one doubt that this is the classifier for these images, a line each."""
    found = []
    side = held_out.images.shape[1]
    if published.side not in (None, side):
        found.append(f"made for images of {published.side} pixels, these have {side}")
    if is_softmax(logits):
        found.append("its outputs are probabilities, not logits; attacks are weaker than they look")
    labels = torch.from_numpy(held_out.labels.astype("int64"))
    accuracy, commonest = _accuracy(logits, held_out), labels.bincount().max().item() / len(labels)
    if accuracy < commonest + 2 * math.sqrt(commonest * (1 - commonest) / len(labels)):
        found.append(
            f"right on {100 * accuracy:.0f} % of the validation images, no better than always naming the commonest "
            f"class; check data_range, mean and std"
        )
    return found


def is_softmax(logits: Tensor) -> bool:
    """Whether logits (images, classes) look like probabilities: in [0,1], with sums of 1."""
    return bool(((logits >= 0) & (logits <= 1)).all() and torch.allclose(logits.sum(1), torch.ones(len(logits))))


def _accuracy(logits: Tensor, stack: Stack) -> float:
    labels = torch.from_numpy(stack.labels.astype("int64"))
    return int((logits.argmax(1) == labels).sum()) / len(labels)
