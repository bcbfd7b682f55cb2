"""hakmem-top in a real terminal: tmux at 80x24 and at 200x50."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.tui.terminal import ROOT, Tmux, terminal, tmux_server

SIZES = pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50)])


@pytest.fixture(scope="module")
def tmux() -> Iterator[Tmux]:
    """One server for all tests of this file."""
    with tmux_server() as server:
        yield server


@SIZES
def test_the_screens_fill_a_real_terminal_and_q_gives_it_back(
    tmux: Tmux, width: int, height: int
) -> None:
    with terminal(tmux, width, height, "--failing") as pane:
        text = pane.wait_for("● live", "Memory", "Traffic", "Shared pool", "Alarms", "q quit")
        rows = text.rstrip("\n").split("\n")
        assert len(rows) == height
        assert max(len(row) for row in rows) <= width
        assert "redis-server *:6379  pid 4242  mode balanced  hakmem 0.1.0  source BPF" in text
        pane.keys("2")
        pane.wait_for("[2 Classes]", "slabs by stage", "C16")
        pane.keys("3")
        pane.wait_for("[3 Events]", "shared_fail", "soft_cap", "✓ lost 0")
        pane.keys("?")
        pane.wait_for("Help", "Esc closes")
        pane.keys("Escape")
        pane.wait(lambda text: "Esc closes" not in text)
        pane.keys("BTab")
        pane.wait_for("[2 Classes]")
        pane.keys("q")
        assert pane.exit_code() == 0
        assert "Overview" not in pane.text()


@SIZES
def test_ctrl_c_gives_the_terminal_back_with_code_130(tmux: Tmux, width: int, height: int) -> None:
    with terminal(tmux, width, height) as pane:
        pane.wait_for("● live")
        pane.keys("C-c")
        assert pane.exit_code() == 130
        assert "Traceback" not in pane.text()


@SIZES
def test_without_privilege_one_line_says_what_is_missing(
    tmux: Tmux, width: int, height: int
) -> None:
    with terminal(tmux, width, height, "--counters") as pane:
        text = pane.wait_for("missing: events and stacks", "source counters", "(+1 more: ?)")
        assert text.count("missing:") == 1
        pane.keys("3")
        pane.wait_for("The counters page carries no events", "lost —")


def test_a_target_that_ended_leaves_its_last_data_until_q(tmux: Tmux) -> None:
    with terminal(tmux, 80, 24, "--ends", "--seconds", "5") as pane:
        text = pane.wait_for("■ ended", "process 4242 has ended; the last data stay")
        assert "new SuperSlab" in text
        pane.keys("2")
        pane.wait_for("[2 Classes]", "C16", "process 4242 has ended")
        pane.keys("q")
        assert pane.exit_code() == 0


def test_a_pause_holds_the_figures_and_says_so(tmux: Tmux) -> None:
    with terminal(tmux, 80, 24, "--seconds", "100000") as pane:
        pane.wait_for("● live", "allocs")
        pane.keys("p")
        held = pane.wait_for("‖ paused")
        pane.keys("p")
        pane.wait(
            lambda text: "● live" in text and text.splitlines()[3:6] != held.splitlines()[3:6]
        )


def test_a_filter_is_typed_in_a_real_terminal(tmux: Tmux) -> None:
    with terminal(tmux, 80, 24, "--failing") as pane:
        pane.wait_for("● live")
        pane.keys("3", "f")
        pane.wait_for("filter:")
        pane.keys("-l", "soft_cap")
        pane.keys("Enter")
        text = pane.wait(lambda text: "filter 'soft_cap'" in text and "superslab_map" not in text)
        assert "shared_fail" in text


def test_a_terminal_that_grows_gets_the_wide_overview_and_back(tmux: Tmux) -> None:
    with terminal(tmux, 80, 24) as pane:
        pane.wait_for("● live", "Shared pool")
        assert "Latest events" not in pane.text()
        pane.resize(200, 50)
        pane.wait_for("Latest events", "Classes by live bytes", "watched")
        pane.resize(80, 24)
        text = pane.wait(lambda text: "Latest events" not in text and "q quit" in text)
        assert max(len(row) for row in text.split("\n")) <= 80


def test_a_terminal_that_goes_away_ends_the_app(tmux: Tmux) -> None:
    with terminal(tmux, 80, 24, "--seconds", "100000") as pane:
        pane.wait_for("● live", "allocs")
        assert len(pane.processes()) == 2
        assert pane.close() == []


def test_a_continue_without_a_stop_changes_nothing(tmux: Tmux) -> None:
    with terminal(tmux, 80, 24, "--seconds", "100000") as pane:
        pane.wait_for("● live", "allocs")
        (_, app) = pane.processes()
        threads = app.num_threads()
        for _ in range(3):
            app.send_signal(signal.SIGCONT)
        pane.keys("2")
        pane.wait_for("[2 Classes]")
        assert app.num_threads() <= threads
        pane.keys("q")
        assert pane.exit_code() == 0


def test_a_source_that_does_not_open_is_one_line_on_the_restored_terminal(tmux: Tmux) -> None:
    with terminal(tmux, 80, 24, "--refuse") as pane:
        assert pane.exit_code() == 4
        text = pane.text()
        assert "hakmem: process 4242 belongs to somebody else; run as root" in text
        assert "Traceback" not in text


def test_without_a_terminal_one_line_points_to_headless() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.tui.replay_app"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "--headless" in line
