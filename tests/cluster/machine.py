"""What the cluster test needs on a bare Debian machine: Slurm, Apptainer, the base image and Assay's images.

Whatever is downloaded or built stands in one cache folder. Only packages are installed; nothing is configured.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
SUITE = "bookworm"
DEBIAN_PYTHON = "/usr/bin/python3"
# Debian's packages, and a program of each that tells whether it is there.
PACKAGES = {
    "slurm-wlm": "slurmctld",
    "slurmd": "slurmd",
    "slurm-client": "sbatch",
    "munge": "munged",
    "debootstrap": "debootstrap",
    "squashfs-tools": "mksquashfs",
    "uidmap": "newuidmap",
    "patchelf": "patchelf",
    "python3": DEBIAN_PYTHON,
}
BUILDER = "nobody"  # where a capability is withheld, a %post section works for an ordinary user and not for root
NOT_TO_BE_HAD = 77


class Unavailable(Exception):
    """Slurm or Apptainer cannot be had here; the reason."""


def install(cache: Path) -> None:
    """Install what is missing."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Unavailable("needs root on a Debian machine, to install Slurm and Apptainer")
    release = Path("/etc/os-release").read_text()
    if f"VERSION_CODENAME={SUITE}" not in release:
        raise Unavailable(f"knows how to install Apptainer on Debian {SUITE} only")
    missing = [package for package, program in PACKAGES.items() if not shutil.which(program)]
    if missing:
        apt = ["apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"]
        for command in (["update"], ["install", "--yes", "--no-install-recommends", *missing]):
            with timed(f"apt-get {' '.join(command)}"):
                done = _run([*apt, *command], env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})
            if done.returncode:
                raise Unavailable(f"apt-get {command[0]} failed: {done.stderr.strip()[-500:]}")
    if not shutil.which("apptainer"):
        with timed("install_apptainer"):
            done = _run([HERE / "install_apptainer", cache])
        if done.returncode == NOT_TO_BE_HAD:
            raise Unavailable(done.stderr.strip()[-500:])
        if done.returncode:
            raise RuntimeError(f"install_apptainer failed: {done.stderr}")


def images(cache: Path) -> Path:
    """The folder of Assay's images, built where they are missing."""
    folder = cache / "images"
    folder.mkdir(exist_ok=True)
    if not all((folder / name).is_file() for name in _image_names()):
        base = _base(cache)
        wheels = _wheels(cache)
        with timed("containers/build"):
            _build(cache, base, wheels, folder)
    return folder


def _image_names() -> list[str]:
    sys.path.insert(0, str(ROOT / "src"))
    from assay.planning.containers import RECIPES, image

    return [image(kind).name for kind in RECIPES]


def _base(cache: Path) -> Path:
    """A base image from Debian's packages: there is no registry of images here."""
    base = cache / "base.sif"
    if base.is_file():
        return base
    root = cache / "rootfs"
    shutil.rmtree(root, ignore_errors=True)
    packages = "ca-certificates,python3,python3-venv"
    with timed("debootstrap"):
        _succeed(["debootstrap", "--variant=minbase", f"--include={packages}", SUITE, root, mirror()])
    # One owner, since a user's build has no other.
    _succeed(["chown", "-R", "root:root", root])
    with timed("base image"):
        _succeed(["apptainer", "build", cache / "base.partial.sif", root])
    shutil.rmtree(root)
    return (cache / "base.partial.sif").rename(base)


def mirror() -> str:
    """The package source of Debian that apt uses."""
    found = _succeed(["apt-get", "indextargets", "--format", "$(SITE)|$(CODENAME)", "Created-By: Packages"])
    sites = [line.split("|")[0] for line in found.splitlines() if line.endswith(f"|{SUITE}")]
    if not sites:
        raise Unavailable(f"no package source of Debian {SUITE} among apt's")
    return sites[0]


def _wheels(cache: Path) -> Path:
    with timed("containers/fetch_wheels"):
        _succeed([ROOT / "containers" / "fetch_wheels", cache / "wheels"], env=os.environ | {"PYTHON": sys.executable})
    return cache / "wheels"


def _build(cache: Path, base: Path, wheels: Path, target: Path) -> None:
    """Build Assay's images as an ordinary user, in a copy that is theirs."""
    copy = cache / "build"
    shutil.rmtree(copy, ignore_errors=True)
    try:
        shutil.copytree(ROOT / "containers", copy / "containers", ignore=shutil.ignore_patterns("images"))
        (copy / "src/assay/planning").mkdir(parents=True)
        for name in ("__init__", "files", "verified", "planning/__init__", "planning/containers"):
            shutil.copy(ROOT / f"src/assay/{name}.py", copy / f"src/assay/{name}.py")
        (copy / "tmp").mkdir()
        _succeed(["chown", "-R", BUILDER, copy])
        own = {
            "HOME": copy / "tmp",
            "TMPDIR": copy / "tmp",
            "APPTAINER_CACHEDIR": copy / "tmp",
            "PATH": os.environ["PATH"],
        }
        told = [f"{key}={value}" for key, value in own.items()]
        program = [DEBIAN_PYTHON, copy / "containers" / "build", "--base", base, "--wheels", wheels]
        with _fuse_for_everyone():
            _succeed(["runuser", "-u", BUILDER, "--", "env", "-i", *told, *program], cwd=copy)
        for image in (copy / "containers" / "images").glob("*.sif"):
            shutil.chown(image, "root", "root")
            image.rename(target / image.name)
    finally:
        shutil.rmtree(copy, ignore_errors=True)


@contextmanager
def _fuse_for_everyone() -> Iterator[None]:
    """A user's Apptainer may mount through /dev/fuse."""
    device = Path("/dev/fuse")
    mode = device.stat().st_mode if device.exists() else None
    try:
        if mode is not None:
            device.chmod(0o666)
        yield
    finally:
        if mode is not None:
            device.chmod(mode & 0o777)


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Say what is being done and how long it took."""
    start = time.monotonic()
    print(f"cluster test: {what} ...", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        print(f"cluster test: {what}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)


def _run(command: list[object], **options: object) -> subprocess.CompletedProcess:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)


def _succeed(command: list[object], **options: object) -> str:
    done = _run(command, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout
