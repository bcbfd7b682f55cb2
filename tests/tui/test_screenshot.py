"""scripts/screenshot draws a recording as it would draw a live process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hakmem_tools.observe.replay import Recorder
from tests.tui.fake_source import PID, TEXTS, FakeSource

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "screenshot"


def screenshot(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def record(path: Path, seconds: int) -> None:
    """A recording of the scripted process, under its own descriptors."""
    source = FakeSource(seconds)
    with Recorder(path, pid=PID, command="redis-server *:6379", texts=TEXTS) as recorder:
        for _ in range(seconds):
            recorder.snapshot(source.snapshot())
            for event in source.events(0):
                recorder.event(event)


def test_the_picture_shows_the_recorded_process_and_needs_no_font_from_elsewhere(
    tmp_path: Path,
) -> None:
    record(tmp_path / "demo.rec", 20)
    picture = tmp_path / "top.svg"
    done = screenshot("--recording", tmp_path / "demo.rec", "--samples", 15, "-o", picture)
    assert done.returncode == 0, done.stderr
    svg = picture.read_text().replace("&#160;", " ")
    for text in ("redis-server *:6379", "4242", "Shared pool", "live"):
        assert text in svg
    assert "@font-face" not in svg
    assert "Fira" not in svg


def test_a_file_that_is_no_recording_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(b"noise")
    done = screenshot("--recording", tmp_path / "noise", "-o", tmp_path / "top.svg")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "no recording of hakmem" in line


def test_a_process_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    done = screenshot("-p", gone.pid, "-o", tmp_path / "top.svg")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
