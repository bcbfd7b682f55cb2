"""What a command prints on streams that are closed, full, or of another character set."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from hakmem_tools.cli.output import json_line

HAKMEM = Path(sys.executable).with_name("hakmem")


def shell(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The script under sh, with the command as $H."""
    return subprocess.run(
        ["sh", "-c", script],
        env=os.environ | {"H": str(HAKMEM)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", ["knobs", "knobs --json", "probes"])
def test_a_closed_stdout_is_one_line_and_no_defect(command: str) -> None:
    done = shell(f'"$H" {command} >&-')
    assert done.returncode == 2
    *_, line = done.stderr.splitlines()
    assert line == "hakmem: stdout is closed; to drop what is printed use >/dev/null"


def test_messages_for_a_closed_stderr_do_not_come_among_the_data() -> None:
    done = shell('"$H" stat -p 1000000000 2>&-')
    assert (done.returncode, done.stdout) == (2, "")


def test_a_program_gets_the_streams_that_hakmem_was_started_with() -> None:
    done = shell('"$H" run -- ls -l /proc/self/fd 2>&1 <&-')
    assert done.returncode == 0
    assert "/dev/null" not in done.stdout


def test_no_file_of_ours_takes_the_number_of_a_closed_stream() -> None:
    done = shell("exec <&-; \"$H\" stat -- sh -c 'echo told >&2; ls -l /proc/$PPID/fd >&2'")
    assert done.returncode == 0, done.stderr
    (stdin,) = [line for line in done.stderr.splitlines() if " 0 -> " in line]
    assert stdin.endswith(" 0 -> /dev/null")


def test_a_full_disk_is_one_line() -> None:
    done = shell('"$H" knobs >/dev/full')
    assert (done.returncode, done.stderr) == (2, "hakmem: No space left on device\n")


def test_a_terminal_of_another_character_set_gets_every_line() -> None:
    plain = shell('"$H" --help', PYTHONIOENCODING="ascii:strict")
    assert (plain.returncode, plain.stderr) == (0, "")
    done = shell('"$H" "kn\N{LATIN SMALL LETTER O WITH DIAERESIS}bs"', PYTHONIOENCODING="ascii")
    assert done.returncode == 2
    assert done.stderr.startswith("hakmem: no command 'kn\\xf6bs'")


def test_without_a_command_the_help_keeps_its_lines() -> None:
    done = shell('"$H"')
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: hakmem")
    assert len(done.stderr.splitlines()) > 15


class Row(msgspec.Struct):
    path: str


def test_a_path_of_other_bytes_does_not_spoil_the_record() -> None:
    bad = os.fsdecode(b"/srv/\xff")
    line = json_line({"path": bad, "rows": (Row(bad), {bad: [bad]}), "n": 3})
    assert json.loads(line) == {
        "schema_version": 1,
        "path": "/srv/?",
        "rows": [{"path": "/srv/?"}, {"/srv/?": ["/srv/?"]}],
        "n": 3,
    }


@pytest.mark.parametrize(
    "command", ["run --", "stat --", "top --headless --", "trace --event all --"]
)
def test_an_empty_word_is_no_command(command: str) -> None:
    done = shell(f'"$H" {command} ""')
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "defect" not in done.stderr


@pytest.mark.parametrize("seconds", ["nan", "-1", "inf", "0"])
@pytest.mark.parametrize("verb", ["set A=1", "reset"])
def test_the_wait_for_an_answer_is_a_time(verb: str, seconds: str) -> None:
    done = shell(f'"$H" knobs {verb} -p 1 --wait {seconds}')
    assert done.returncode == 2
    assert "--wait" in done.stderr


def test_a_library_that_does_not_load_says_why_and_nothing_else(tmp_path: Path) -> None:
    wrong = tmp_path / "libhakmem.so"
    wrong.write_text("no library")
    done = shell(f'"$H" knobs --lib {wrong}')
    assert done.returncode == 4
    assert "does not load" in done.stderr
    assert "find_library" not in done.stderr


def test_counting_instructions_takes_nothing_that_is_timed() -> None:
    done = shell('"$H" bench --callgrind --rows json')
    assert done.returncode == 2
    assert "--callgrind" in done.stderr


def test_without_a_terminal_top_starts_nothing(tmp_path: Path) -> None:
    done = shell(f'"$H" top -- touch {tmp_path}/started </dev/null')
    assert done.returncode == 2
    assert done.stderr == "hakmem: stdin is no terminal; use `hakmem top --headless` for scripts\n"
    assert not (tmp_path / "started").exists()
