"""The wheel holds the library, its header and the BPF programs, where the tools look for them."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_an_installed_package_needs_no_checkout(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("hakmem-*-linux_x86_64.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    script = (
        "import hakmem_top.app, hakmem_tools\n"
        "from hakmem_tools.native.library import open_library\n"
        "from hakmem_tools.observe.bpf.generate import generate\n"
        "library = open_library()\n"
        "print(library.path, len(library.descriptors.knobs) > 0, hakmem_tools.__file__)\n"
    )
    # The isolated mode forgets the checkout; the libraries come from this environment.
    code = f"import sys; sys.path.insert(0, {str(installed)!r})\n{script}"
    said = subprocess.run(
        [sys.executable, "-I", "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    ).stdout
    place = installed / "hakmem_tools"
    assert said.split() == [f"{place}/native/libhakmem.so", "True", f"{place}/__init__.py"]
    programs = {path.name for path in (place / "observe/bpf/probes").iterdir()}
    assert {path.name for path in (ROOT / "probes").glob("*.[ch]")} <= programs
