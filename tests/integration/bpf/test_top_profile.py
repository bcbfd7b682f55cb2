"""`hakmem top` on a process that was already running, in a real terminal: who leaks, and where."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from hakmem_tools.native.library import Library
from tests.integration.bpf.conftest import HAKMEM
from tests.integration.bpf.profiling import (
    NOBODY,
    build,
    leak_line,
    leaking_extension,
    leaking_program,
    preload,
    run_by_nobody,
)
from tests.tui.terminal import Terminal, Tmux, terminal_of, tmux_server

LEAKS_VIEW = ("v", "v", "v")


@pytest.fixture(scope="module")
def tmux() -> Iterator[Tmux]:
    with tmux_server() as server:
        yield server


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    # Not below pytest's own directory, which other users may not enter.
    with tempfile.TemporaryDirectory(prefix="hakmem-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def profile_screen(tmux: Tmux, pid: int, *prefix: str) -> Iterator[Terminal]:
    """The profile screen of `hakmem top`; ended by its own key."""
    with terminal_of(tmux, 120, 40, *prefix, str(HAKMEM), "top", "-p", str(pid)) as pane:
        pane.wait_for("● live")
        pane.keys("5")
        pane.wait_for("[5 Profile]", "[live]")
        yield pane
        pane.keys("q")
        assert pane.exit_code() == 0


def first_row(text: str) -> str:
    """The first row of the table, behind its headings."""
    lines = text.splitlines()
    heading = next((n for n, line in enumerate(lines) if line.startswith(" call site ")), None)
    return lines[heading + 1] if heading is not None and heading + 1 < len(lines) else ""


Leaking = Callable[[Path, Mapping[str, str]], AbstractContextManager[int]]


@pytest.mark.parametrize(
    ("leaking", "source", "function"),
    [
        pytest.param(leaking_program, "leak.cpp", "Registry::remember", id="cpp"),
        pytest.param(leaking_extension, "leakmodule.c", "remember", id="python-extension"),
    ],
)
def test_a_leak_in_a_running_process_leads_the_leaks_with_its_file_and_line(
    tmux: Tmux, directory: Path, library: Library, leaking: Leaking, source: str, function: str
) -> None:
    place = f"{source}:{leak_line(source)}"
    with leaking(directory, preload(library)) as pid, profile_screen(tmux, pid) as pane:
        pane.keys(*LEAKS_VIEW)
        text = pane.wait(lambda text: "[leaks]" in text and place in first_row(text))
        assert function in first_row(text)
        assert "✓ lost 0, " in text
        assert "truncated" in text
        pane.keys("Enter")
        text = pane.wait_for("Call stack", "Served by (class, path)", place)
        assert "✓ lost 0, " in text
        pane.keys("Escape")
        pane.wait_for("[leaks]")


def test_without_privilege_the_screen_shows_the_counters_page_s_sites_and_says_so(
    tmux: Tmux, directory: Path, library: Library
) -> None:
    binary = build("sites.c", directory)
    with run_by_nobody(binary, library) as pid, profile_screen(tmux, pid, *NOBODY) as pane:
        pane.keys("v")  # what was allocated in all
        text = pane.wait(lambda text: "keep" in first_row(text))
        assert "sites.c:" in first_row(text)
        assert "the counters page's table of sites: one frame each, no intervals" in text
        assert "CAP_BPF" in text
        pane.keys(*LEAKS_VIEW)
        pane.wait_for("[temporary]", "the counters page's table of sites keeps no ages")
