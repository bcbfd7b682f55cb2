"""Finding commands: quickly, by name, and without what a command does not need."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hakmem_tools.cli.main import COMMANDS, group, run_command

HEAVY = ("textual", "bcc", "scipy", "numpy", "rich", "cffi", "optuna", "hakmem_top")


def modules_after(code: str) -> set[str]:
    """Names of the top-level modules that a fresh interpreter has loaded after `code`."""
    script = f"import sys\n{code}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def test_help_loads_nothing_heavy() -> None:
    loaded = modules_after(
        "from hakmem_tools.cli.main import run_command\nassert run_command(['--help']) == 0"
    )
    assert loaded.isdisjoint(HEAVY)


@pytest.mark.parametrize("command", ["run", "stat", "top", "knobs", "probes", "doctor"])
def test_a_headless_commands_help_loads_neither_ui_nor_bcc_nor_statistics(command: str) -> None:
    loaded = modules_after(
        "from hakmem_tools.cli.main import run_command\n"
        f"assert run_command(['{command}', '--help']) == 0"
    )
    assert loaded.isdisjoint(HEAVY)


def test_observing_through_the_counters_page_needs_neither_ui_nor_bcc_nor_scipy() -> None:
    loaded = modules_after("import hakmem_tools.observe.open, hakmem_tools.observe.collector")
    assert loaded.isdisjoint({"textual", "bcc", "scipy", "hakmem_top"})


def test_every_listed_command_can_be_loaded_and_explains_itself() -> None:
    with group.make_context("hakmem", ["--help"], resilient_parsing=True) as context:
        names = group.list_commands(context)
        assert set(names) >= {"run", "stat", "top", "knobs", "probes", "doctor"}
        for name in names:
            loaded = group.get_command(context, name)
            assert loaded is not None
            assert loaded.help


def test_commands_are_listed_in_the_order_of_a_working_day(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_command(["--help"]) == 0
    listing = capsys.readouterr().out
    listed = [name for name in COMMANDS if f"\n  {name} " in listing]
    positions = [listing.index(f"\n  {name} ") for name in listed]
    assert positions == sorted(positions)


def test_a_misspelt_command_is_told_its_neighbours(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["stta"]) == 2
    error = capsys.readouterr().err
    assert "no command 'stta' (did you mean stat?)" in error
    assert error.count("\n") == 1
