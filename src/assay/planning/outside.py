"""What a study needs that the workflow does not make: a user's files and folders, and networks by their names.

It is looked at when the study is planned. What is made already needs its source no more.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from assay.files import AssayError
from assay.planning.freshness import Freshness
from assay.planning.jobs import Job, Jobs
from assay.planning.library_names import name_fault
from assay.planning.process import is_a_job
from assay.planning.published import check_head, check_local_files
from assay.study.classifiers import PublishedClassifier
from assay.study.images import Images
from assay.study.networks import Network
from assay.study.parse import one_line


def check_outside(jobs: Jobs, source: str) -> None:
    """Refuse a study that lacks something which only its user can bring; each fault is a line.

    `source` names the config. A job of a run that has begun is not kept from going on.
    """
    if is_a_job():
        return
    faults = []
    for key, check in _checks(jobs):
        try:
            check()
        except AssayError as error:
            faults.append(one_line(f"{source}: {key}{error}"))
        except OSError as error:
            faults.append(one_line(f"{source}: {key}{error.filename or ''}: {error.strerror}"))
    if faults:
        raise AssayError("\n".join(faults))


def _checks(jobs: Jobs) -> Iterator[tuple[str, Callable[[], None]]]:
    """What is to be checked, each with the key that its message begins with."""
    study, freshness = jobs.study, Freshness(jobs)
    images, classes = study.images, study.images.classes and len(study.images.classes)
    yield "study: ", partial(_check_results, Path(jobs.results))
    yield "images.folder: ", partial(_check_images, images, jobs, freshness)
    for section, kind in (("classifiers", "classifier"), ("diffusions", "diffusion")):
        for name, network in getattr(study, section).items():
            key = f"{section}.{name}"
            if network.kind == "published":
                job = jobs.job(f"import_{kind}", **{kind: name})
                check = partial(check_local_files, network, images.size, classes)
                yield f"{key}.published: ", _unless_made(freshness, job, check)
            if isinstance(network, Network | PublishedClassifier) and network.network:
                yield f"{key}.network: ", partial(_check_network, network)


def _unless_made(freshness: Freshness, job: Job, check: Callable[[], None]) -> Callable[[], None]:
    """A check of what a job reads, but where its artifact is there as wanted."""
    return lambda: None if freshness.source(job) else check()


def _check_network(network: Network | PublishedClassifier) -> None:
    if fault := name_fault(network.network):
        raise AssayError(fault)
    if isinstance(network, PublishedClassifier):
        check_head(network)


def _check_results(results: Path) -> None:
    for place in (results.parent, results):
        if os.path.lexists(place) and not place.is_dir():
            raise AssayError(f"{place} is no folder, and what the study makes lies in one; move it away")


def _check_images(images: Images, jobs: Jobs, freshness: Freshness) -> None:
    """The data set's files; those that are fetched need no more than a place."""
    folder = images.folder
    if folder is None or images.source == "python":
        return
    place = Path(folder)
    if images.files:
        if os.path.lexists(place) and not place.is_dir():
            raise AssayError(f"{folder} is no folder; name one that the files can be fetched to")
        return
    if freshness.source(jobs.job("index_images")):
        return
    if not os.path.exists(place):
        raise AssayError(f"{folder} not found; put the data set there, or correct images.folder")
    if not place.is_dir() and place.suffix not in images.archives:
        raise AssayError(f"{folder} is not {' or '.join(['a folder', *images.archives])}; unpack it")
    for name in images.beside_archive if place.is_file() else ():
        if not place.with_name(name).is_file():
            raise AssayError(f"{place.with_name(name)} not found; put it beside {place.name}")
