"""Whether the networks that a study is about to make can be built and take its images: tried once, and remembered.

Planning imports no torch: networks are tried by a program of their own, which takes seconds, for those alone that were
not tried yet with the same libraries and code. What was found is noted below `$XDG_CACHE_HOME/assay/networks` (or
`~/.cache/…`), a small file a network. Notes are a convenience: where none can be kept, networks are tried each time.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from assay.files import AssayError, canonical_json, digest, read_json, write_json
from assay.planning.fingerprint import ROOT, fingerprint
from assay.planning.freshness import Freshness
from assay.planning.jobs import Jobs
from assay.planning.networks import library_versions
from assay.planning.process import is_a_job
from assay.planning.published import CONFIG, read_unet_config, timm_config
from assay.study.classifiers import PublishedClassifier
from assay.study.diffusions import Diffusion, PublishedDiffusion, UNet
from assay.study.fields import HUB
from assay.study.networks import Network
from assay.study.parse import one_line
from assay.words import count

PROGRAM = "workflow/stages/try_networks.py"
UNKNOWN_CLASSES = 2  # where only the data set's files tell

Described = dict[str, Any]  # all that it depends on whether a network can be built and called


def check_networks(jobs: Jobs, source: str) -> None:
    """Refuse a study one of whose networks cannot be built, or does not take its images; each fault is a line.

    `source` names the config. A network that is made already is not tried, nor one of a user's own module. Where the
    program cannot say (torch is not installed here, or memory does not suffice), the stage will.
    """
    if is_a_job():
        return
    described = dict(_described(jobs))
    found = {key: _noted(network) for key, network in described.items()}
    untried = {key: described[key] for key, fault in found.items() if fault is None}
    if untried:
        tried = _try({_name(network): network for network in untried.values()})
        found |= {key: tried.get(_name(network)) for key, network in untried.items()}
    if faults := [one_line(f"{source}: {key}: {fault}") for key, fault in found.items() if fault]:
        raise AssayError("\n".join(faults))


def _described(jobs: Jobs) -> Iterator[tuple[str, Described]]:
    """The networks that are to be made, by the key that a fault is told under."""
    study, freshness = jobs.study, Freshness(jobs)
    side, classes = study.images.size, len(study.images.classes or ()) or UNKNOWN_CLASSES
    for section, kind in (("classifiers", "classifier"), ("diffusions", "diffusion")):
        for name, network in getattr(study, section).items():
            stage = "import" if network.kind == "published" else "train"
            if freshness.source(jobs.job(f"{stage}_{kind}", **{kind: name})):
                continue
            key = f"{section}.{name}"
            if isinstance(network, Network):
                key += ".arguments" if network.arguments else ".network"
                yield key, _classifier(network, side, classes, trained=True)
            elif isinstance(network, PublishedClassifier) and (told := _told(network)):
                yield f"{key}.published", _classifier(told, side, classes, trained=False)
            elif isinstance(network, Diffusion):
                keys = network.model_dump(mode="json", include=set(UNet.model_fields))
                yield f"{key}.channels", {"kind": "diffusion", "network": {**keys, "steps": 1}, "side": side}
            elif isinstance(network, PublishedDiffusion) and (place := _unet_config(network)):
                described = {"kind": "published diffusion", "config": read_unet_config(place), "place": str(place)}
                yield f"{key}.published", described


def _classifier(network: Network, side: int, classes: int, trained: bool) -> Described:
    keys = network.model_dump(mode="json", include=set(Network.model_fields) - {"mean", "std"})
    return {"kind": "classifier", "network": keys, "side": side, "classes": classes, "trained": trained}


def _told(published: PublishedClassifier) -> Network | None:
    """The network of a published classifier, as far as its keys, or config.json in a local folder, tell."""
    if published.layout == "tiatoolbox" and published.network:
        return Network(network=published.network, arguments=published.arguments)
    place = Path(published.published)
    if published.published.startswith(HUB):
        return None
    told = timm_config((place if place.is_dir() else place.parent) / CONFIG)
    return Network(network=told.network, arguments=told.model_args or {})


def _unet_config(published: PublishedDiffusion) -> Path | None:
    """The config.json of a published U-Net, if it lies here."""
    if published.published.startswith(HUB):
        return None
    place = Path(published.published)
    folder = place if place.is_dir() else place.parent
    within = folder / "unet" / CONFIG
    return within if within.is_file() else folder / CONFIG


def _try(networks: Mapping[str, Described]) -> dict[str, str]:
    """What keeps each of these networks from its images, by its name, as far as could be found out; noted."""
    print(f"trying {count(len(networks), 'network')} before anything is made (once)", file=sys.stderr)
    command = [sys.executable, str(ROOT / PROGRAM), "--networks", json.dumps(networks)]
    done = subprocess.run(command, capture_output=True, text=True)
    found: dict[str, str] = {}
    for line in done.stdout.splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError):  # a library said something
            answer = json.loads(line)
            found[answer["key"]] = answer["fault"]
    for name, fault in found.items():
        with contextlib.suppress(OSError, RuntimeError):
            write_json(_notes() / f"{name}.json", {"fault": fault})
    return found


def _noted(network: Described) -> str | None:
    """What was found when this network was tried; None if it was not."""
    try:
        fault = read_json(_notes() / f"{_name(network)}.json")["fault"]
    except (AssayError, OSError, RuntimeError, KeyError, TypeError):
        return None
    return fault if isinstance(fault, str) else None


def _name(network: Described) -> str:
    """What a network is noted by: all that counts, the libraries' versions and the code that tries it included."""
    return digest([canonical_json(network), library_versions(), fingerprint(PROGRAM)], length=32)


def _notes() -> Path:
    """The folder of the notes; a RuntimeError where this user has no home."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "assay" / "networks"
