"""The classify stage: scores, which keep every logit of every image and draw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from assay import device as devices
from assay.batches import batch_count, folder_name, load_batch
from assay.files import artifact
from assay.inputs import Inputs
from assay.program import provenance
from assay.progress import track
from assay.study.evaluation import ClassifySpec

SCORES = "scores.csv"


def classify_stack(spec: ClassifySpec, code: str, inputs: Inputs, out: Path, threads: int) -> None:
    """Write `scores.csv`: id, label, draw and the logits of every image of a stack."""
    device = devices.prepare(threads)
    inputs = inputs.on(device)
    stack, model = inputs.images(), inputs.classifier()
    count = batch_count(stack, spec.batch_size)
    logits = []
    with torch.inference_mode():
        for index in track(range(count), f"classify {folder_name(out, 3)}", count, unit="batches"):
            batch = load_batch(stack, index, spec.batch_size, device)
            logits.append(model(batch.images)[: batch.size].float().cpu().numpy())
    scores = np.concatenate(logits)
    table = stack.table[["id", "label"]].copy()
    table["draw"] = stack.table.get("draw", 0)
    table = pd.concat([table, pd.DataFrame(scores, columns=[f"logit_{k}" for k in range(scores.shape[1])])], axis=1)
    made_by = provenance(("torch", "numpy", "pandas"), devices.name(device))
    with artifact(out, "scores", spec.model_dump(mode="json"), code, inputs.manifests(), made_by) as draft:
        table.to_csv(draft.path(SCORES), index=False, lineterminator="\n", float_format="%.9g")
