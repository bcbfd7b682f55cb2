"""`hakmem profile` from outside: however it ends, the file reads and nothing stays attached."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hakmem_tools.native.library import Library
from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.observe.recording import read_profile
from hakmem_tools.observe.symbolise import name_frames
from tests.integration.bpf.conftest import HAKMEM, PATIENCE_S, SiteMemory
from tests.integration.bpf.profiling import (
    NOBODY,
    Sites,
    build,
    by_site,
    leak_line,
    leaking_extension,
    leaking_program,
    preload,
    run_by_nobody,
    running,
)
from tests.integration.bpf.test_detaching import left_over

PROBES = {"sample_alloc", "free"}


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    # Not below pytest's own directory, which other users may not enter.
    with tempfile.TemporaryDirectory(prefix="hakmem-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def binary(directory: Path) -> Path:
    return build("sites.c", directory)


@pytest.fixture
def leaking(binary: Path, library: Library) -> Iterator[Sites]:
    """A program that keeps 1000 bytes at keep() again and again, and runs for ever."""
    with running(binary, preload(library), turns=0) as sites:
        yield sites


class Recording:
    """A running `hakmem profile`."""

    def __init__(self, *words: object) -> None:
        self.process = subprocess.Popen(
            [HAKMEM, "profile", *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.out = self.errors = ""

    def finish(self) -> int:
        self.out, self.errors = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode


@pytest.fixture
def record() -> Iterator[Callable[..., Recording]]:
    started: list[Recording] = []

    def start(*words: object) -> Recording:
        started.append(Recording(*words))
        return started[-1]

    yield start
    for recording in started:
        if recording.process.poll() is None:
            recording.process.kill()
            recording.process.communicate()


def has_samples(path: Path) -> Callable[[], bool]:
    def look() -> bool:
        return path.exists() and path.stat().st_size > 20 and bool(read_profile(path).keys)

    return look


def shows_live(path: Path, site: str) -> Callable[[], bool]:
    def look() -> bool:
        profile = read_profile(path)
        name_frames(profile)
        return site in by_site(profile, "live")

    return look


@pytest.fixture
def attached(
    leaking: Sites,
    record: Callable[..., Recording],
    until: Callable[..., None],
    tmp_path: Path,
) -> Iterator[tuple[Recording, Path, SiteMemory]]:
    """A recording that has written samples, its file, and the target's probe sites."""
    memory = SiteMemory(leaking.pid)
    path = tmp_path / "file.hakprof"
    recording = record("-p", leaking.pid, "-o", path, "-i", 0.05)
    until(has_samples(path), "samples in the file")
    assert memory.attached() >= PROBES
    yield recording, path, memory
    memory.close()


def test_ctrl_c_finishes_the_file_and_detaches_and_leaves_the_target_running(
    attached: tuple[Recording, Path, SiteMemory], leaking: Sites
) -> None:
    recording, path, memory = attached
    recording.process.send_signal(signal.SIGINT)
    assert recording.finish() == 130
    assert memory.attached() == set()
    assert left_over(leaking.pid) == []
    assert leaking.is_alive()
    profile = read_profile(path)
    assert profile.end is not None
    assert profile.end.reason == "stopped"
    # A busy machine may make it sample less, and say so.
    assert not [text for text in profile.missing if "its share" not in text]
    assert "hakmem report" in recording.errors


def test_kill_9_leaves_a_readable_file_and_no_probe(
    attached: tuple[Recording, Path, SiteMemory], leaking: Sites, until: Callable[..., None]
) -> None:
    recording, path, memory = attached
    until(shows_live(path, "keep"), "a live block in the file")
    recording.process.kill()
    recording.process.wait()
    until(lambda: memory.attached() == set(), "the kernel took the breakpoints off")
    until(lambda: left_over(leaking.pid) == [], "links and uprobes gone")
    assert leaking.is_alive()
    profile = read_profile(path)
    assert profile.end is None
    assert any("did not end in order" in sentence for sentence in profile.missing)
    name_frames(profile)
    assert by_site(profile, "live")["keep"].samples > 0


def test_kill_9_leaves_the_target_sampling_at_its_own_distance(
    leaking: Sites, record: Callable[..., Recording], until: Callable[..., None], tmp_path: Path
) -> None:
    path, listening = tmp_path / "file", 3000
    recording = record("-p", leaking.pid, "-o", path, "-i", 0.05, "--sample-bytes", listening)
    until(has_samples(path), "samples in the file")
    assert read_profile(path).header.sample_bytes == listening
    recording.process.kill()
    recording.process.wait()
    with CountersSource(leaking.pid) as page:
        before = dict(page.snapshot().scalars)

        def draws_as_before() -> bool:
            nonlocal before
            now = dict(page.snapshot().scalars)
            samples, weight = (now[name] - before[name] for name in ("samples", "sampled_bytes"))
            before = now
            return samples > 0 and weight / samples > 4 * listening

        until(draws_as_before, "a sample that stands for what lies between two unheard ones")
    again = tmp_path / "again"
    assert record("-p", leaking.pid, "-o", again, "-d", 0.2).finish() == 0
    assert read_profile(again).header.sample_bytes == 20_000


def test_the_end_of_the_target_ends_the_recording(
    attached: tuple[Recording, Path, SiteMemory], leaking: Sites
) -> None:
    recording, path, _ = attached
    leaking.process.kill()
    assert recording.finish() == 0
    end = read_profile(path).end
    assert end is not None
    assert end.reason == "the target ended"


def test_the_time_ends_the_recording_and_json_says_what_it_holds(
    leaking: Sites, record: Callable[..., Recording], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    recording = record("-p", leaking.pid, "-o", path, "-d", 0.3, "--json")
    assert recording.finish() == 0
    summary = json.loads(recording.out)
    assert summary["path"] == str(path)
    assert summary["lost"] == 0
    assert summary["written_bytes"] == path.stat().st_size
    assert summary["duration_ns"] >= 300_000_000
    assert left_over(leaking.pid) == []


def test_a_program_is_recorded_from_its_first_instruction_to_its_end(
    record: Callable[..., Recording], binary: Path, library: Library, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    recording = record(
        "-o", path, "--lib", library.path, "--sample-bytes", 2000, "--", binary, 500
    )  # its input is empty: it says ready and ends
    assert recording.finish() == 0, recording.errors
    profile = read_profile(path)
    assert profile.end is not None
    assert profile.header.sample_bytes in (2000, 512 << 10)  # the page was seen, or not
    assert profile.broken is None


def test_a_program_that_was_started_is_listened_to_within_the_share_too(
    record: Callable[..., Recording], binary: Path, library: Library, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    words = ("--lib", library.path, "--sample-bytes", 1000, "--max-overhead", 0.01)
    recording = record("-o", path, *words, "-d", 5, "--", binary, 0)
    assert recording.finish() == 0, recording.errors
    raised = "samples at an even distance: it was raised"
    assert any(sentence.startswith(raised) for sentence in read_profile(path).missing)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ((), 2, "no target"),
        (("-p", 1, "-d", 0), 2, "-d 0: must be more than 0"),
        (("-p", 1, "-i", -1), 2, "-i -1: must be more than 0"),
        (("-p", 1, "--sample-bytes", 0, "--allocator", "any"), 2, "--sample-bytes 0: must be 1"),
        (("-p", 1, "--sample-bytes", 2**41), 2, "--sample-bytes 2199023255552: must be 1"),
        (("-p", 1, "--allocator", "some"), 2, "'some' is not one of"),
        (("-p", 1, "-o", "/"), 2, "-o /"),
        (("-p", 2**22 + 7,), 2, "no process"),
        (("--allocator", "any", "--mode", "fast", "--", "true"), 2, "--allocator any"),
        (("--", "/nowhere/at/all"), 127, "no such command"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_its_exit_code(
    record: Callable[..., Recording], tmp_path: Path, words: Any, code: int, says: str
) -> None:
    where = () if "-o" in words else ("-o", tmp_path / "file")
    recording = record(*where, *words)
    assert recording.finish() == code
    assert says in recording.errors
    assert "Traceback" not in recording.errors
    assert not (tmp_path / "file").exists()


def test_a_file_that_exists_is_not_overwritten_unasked(
    leaking: Sites, record: Callable[..., Recording], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_text("mine")
    refused = record("-p", leaking.pid, "-o", path, "-d", 0.1)
    assert refused.finish() == 2
    assert "--force" in refused.errors
    assert path.read_text() == "mine"
    assert record("-p", leaking.pid, "-o", path, "-d", 0.1, "--force").finish() == 0
    assert read_profile(path).end is not None


def test_without_privilege_the_table_of_sites_serves_and_says_what_it_is(
    directory: Path, binary: Path, library: Library
) -> None:
    theirs = directory / "theirs"
    theirs.mkdir()
    theirs.chmod(0o777)
    path = theirs / "file"
    with run_by_nobody(binary, library) as pid:
        done = subprocess.run(
            [*NOBODY, HAKMEM, "profile", "-p", str(pid), "-d", "0.5", "-o", path],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "CAP_BPF" in done.stderr
    profile = read_profile(path)
    assert profile.header.source == "counters"
    name_frames(profile)
    amounts = by_site(profile, "cumulative")
    assert amounts["keep"].weighted >= 1000
    assert {len(stack.frames) for stack in profile.stacks.values()} <= {0, 1}
    assert any("one frame" in sentence for sentence in profile.missing)


def names_the_leak(report: str, source: str) -> bool:
    """Whether the first line of a report has a frame at the line that the source calls LEAK."""
    first = json.loads(report.splitlines()[0])
    places = {(Path(frame["file"] or "").name, frame["line"]) for frame in first["frames"]}
    return (source, leak_line(source)) in places


def leak_report(record: Callable[..., Recording], pid: int, path: Path, *more: str) -> str:
    """What `hakmem report` says of leaks in the next moments of a running process."""
    recording = record("-p", pid, "-o", path, "-d", 2.5, *more)
    assert recording.finish() == 0, recording.errors
    command = [HAKMEM, "report", path, "--view", "leaks", "--json"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_leak_in_a_running_cpp_program_is_found_down_to_its_line(
    directory: Path,
    library: Library,
    record: Callable[..., Recording],
    tmp_path: Path,
) -> None:
    with leaking_program(directory, preload(library)) as pid:
        report = leak_report(record, pid, tmp_path / "file")
    assert names_the_leak(report, "leak.cpp")


@pytest.mark.parametrize("allocator", ["hakmem", "any"])
def test_a_leak_in_a_python_extension_is_found_down_to_its_line(
    directory: Path,
    library: Library,
    record: Callable[..., Recording],
    tmp_path: Path,
    allocator: str,
) -> None:
    more: tuple[str, ...] = ()
    if allocator == "any":
        more = ("--allocator", "any", "--sample-bytes", "20000", "--max-overhead", "10000")
    with leaking_extension(directory, {} if more else preload(library)) as pid:
        report = leak_report(record, pid, tmp_path / "file", *more)
    assert names_the_leak(report, "leakmodule.c")
