"""Finding bcc from any interpreter, and saying what to install where it is not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hakmem_tools.observe.bpf import loader
from hakmem_tools.observe.source import SourceUnavailable

CHECKOUT = Path(__file__).parents[3]
HIDDEN = """
import sys
sys.path[:] = [p for p in sys.path if p != "/usr/lib/python3/dist-packages"]
sys.path[:0] = {extra!r}
from hakmem_tools.observe.bpf.loader import import_bcc
module = import_bcc()
print(module.__file__, hasattr(module.BPF, "load_func"))
"""


def run_hidden(*extra: str) -> str:
    """What an interpreter prints that does not look into Debian's packages."""
    script = HIDDEN.format(extra=[*extra, str(CHECKOUT)])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    return done.stdout + done.stderr


def test_an_interpreter_that_does_not_look_into_debians_packages_finds_bcc_all_the_same() -> None:
    assert run_hidden() == "/usr/lib/python3/dist-packages/bcc/__init__.py True\n"


def test_another_package_of_that_name_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "bcc.py").write_text("value = 1\n")
    assert run_hidden(str(tmp_path)) == "/usr/lib/python3/dist-packages/bcc/__init__.py True\n"


def test_without_bcc_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "bcc", None)
    monkeypatch.setattr(loader, "_DEBIAN_PACKAGE", tmp_path / "nowhere.py")
    with pytest.raises(SourceUnavailable, match="apt install python3-bpfcc") as caught:
        loader.import_bcc()
    assert "\n" not in str(caught.value)


def test_a_package_that_does_not_load_here_is_named_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "__init__.py"
    broken.write_text("raise ImportError('libbcc.so.0 is missing')\n")
    monkeypatch.setitem(sys.modules, "bcc", None)
    monkeypatch.setattr(loader, "_DEBIAN_PACKAGE", broken)
    with pytest.raises(SourceUnavailable, match=r"libbcc\.so\.0 is missing"):
        loader.import_bcc()
