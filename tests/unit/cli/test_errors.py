"""The error guard: every outcome has its exit code and at most one line."""

from __future__ import annotations

import signal

import click
import pytest

from hakmem_tools.cli.errors import Failure, run_guarded
from hakmem_tools.model.settings import SettingError
from hakmem_tools.native.header import LibraryNotFound
from hakmem_tools.observe.source import (
    NoPage,
    NoSuchProcess,
    NotPermitted,
    SourceUnavailable,
    TargetGone,
)
from hakmem_tools.observe.target import CannotPreload, CannotStart


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Failure("f"), 2),
        (Failure("f", 1), 1),
        (SettingError("f"), 2),
        (NoSuchProcess("f"), 2),
        (CannotPreload("f"), 2),
        (TargetGone("f"), 3),
        (NotPermitted("f"), 4),
        (NoPage("f"), 4),
        (SourceUnavailable("f"), 4),
        (LibraryNotFound("f"), 4),
        (CannotStart("f", FileNotFoundError(2, "x")), 127),
        (CannotStart("f", PermissionError(13, "x")), 126),
        (PermissionError(13, "no", "f"), 4),
        (FileExistsError(17, "there", "f"), 2),
        (click.UsageError("f"), 2),
        (ValueError("f"), 3),
    ],
)
def test_an_error_is_one_line_and_its_exit_code(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    assert run_guarded(fail) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("hakmem: ")
    assert captured.err.count("\n") == 1
    assert "f" in captured.err


def test_a_message_of_several_lines_becomes_one(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise Failure("one\ntwo")

    run_guarded(fail)
    assert capsys.readouterr().err == "hakmem: one two\n"


@pytest.mark.parametrize(("outcome", "code"), [(0, 0), (3, 3), (None, 0), (True, 0), ("text", 0)])
def test_what_a_command_returns_is_its_exit_code_if_it_is_a_number(
    outcome: object, code: int
) -> None:
    assert run_guarded(lambda: outcome) == code


def test_interrupts_and_exits_keep_their_codes(capsys: pytest.CaptureFixture[str]) -> None:
    def raising(error: BaseException) -> int:
        def fail() -> None:
            raise error

        return run_guarded(fail)

    assert raising(KeyboardInterrupt()) == 130
    assert raising(click.Abort()) == 130
    assert raising(SystemExit(143)) == 143
    assert raising(click.exceptions.Exit(5)) == 5
    assert capsys.readouterr().err == ""


def test_a_request_to_terminate_runs_what_must_be_run_at_the_end() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    released = []

    def wait() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            released.append(True)

    try:
        assert run_guarded(wait) == 128 + signal.SIGTERM
        assert released == [True]
    finally:
        signal.signal(signal.SIGTERM, before)
