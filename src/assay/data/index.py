"""The index_images stage: where every image of a data set's files stands, and which of them may be drawn."""

from __future__ import annotations

from pathlib import Path

from assay.artifacts import Wanted
from assay.data.roles import sort_out
from assay.data.scratch import scratch_beside
from assay.modules import load
from assay.program import provenance
from assay.stacks import write_table
from assay.study.images import IndexSpec


def index_images(spec: IndexSpec, code: str, folder: Path, out: Path) -> None:
    """Hash the pixels of every image in the source's `folder`; write the index to the artifact `out`.

    Its table has one row an image: id, label, the file and the row where it stands, its pixels' hash, and its status.
    Who plays which role is no part of it: `prepare_images` draws, so that other counts do not make the index anew.
    """
    wanted = Wanted(out, "index", spec.model_dump(mode="json"), code, {})
    if wanted.is_there():
        return
    source = load(spec.images.implementation)
    with scratch_beside(out) as scratch:
        classes, images = source.catalogue(spec.images, folder, scratch)
    table, facts = sort_out(images, classes)
    made_by = provenance(("numpy", *source.LIBRARIES))
    with wanted.write(made_by) as draft:
        draft.facts |= facts
        write_table(draft, table)
