"""A Python for the workflow tests whose libraries are loaded already."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent


@contextmanager
def warm_python(folder: Path) -> Iterator[tuple[Path, Path, dict[str, str]]]:
    """A `python` in a new folder that is served warm, and that rules find too; beside it, a Python like any other, under
    which stages are warm but Snakemake is not; and the environment that both need."""
    binaries, socket = folder / "bin", f"assay-warm-python-{os.getpid()}"
    binaries.mkdir(parents=True)
    packages = folder / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    packages.mkdir(parents=True)
    own = [path for path in sys.path if path.endswith("site-packages")]
    packages.joinpath("tests.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in own))
    base = Path(sys._base_executable)
    folder.joinpath("pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = false\n")
    python = binaries / "python3"
    python.symlink_to(base)
    stand_in = binaries / "python"
    stand_in.write_text(f"#!{base} -IS\n{(HERE / 'stand_in.py').read_text()}")
    stand_in.chmod(0o755)
    environment = {"ASSAY_WARM_PYTHON": str(python), "ASSAY_WARM_SOCKET": socket}
    server = subprocess.Popen([sys.executable, str(HERE / "server.py"), socket], stdout=subprocess.PIPE)
    try:
        assert server.stdout.readline() == b"ready\n", "the server of warm programs does not start"
        yield stand_in, python, environment
    finally:
        server.kill()
        server.wait()
