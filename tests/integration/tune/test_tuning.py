"""`hakmem tune` and `hakmem apply` on a real program with a known best setting."""

from __future__ import annotations

import subprocess
from pathlib import Path

from hakmem_tools.tune.store import Store
from tests.integration.tune.commands import hakmem, sleeper

# Best at X=2; the default, without X, is the slowest.
BODY = 'case "$X" in 2) sleep 0.01;; 1|3) sleep 0.02;; *) sleep 0.03;; esac'


def test_the_winner_is_verified_and_applied_as_env_file_and_drop_in(tmp_path: Path) -> None:
    program, study = sleeper(tmp_path, BODY), tmp_path / "study"
    said = hakmem("tune", "-P", "X", "0:4", "--max-time", "40", "-o", study, "--json", "--gate",
                  "--", *program)  # fmt: skip
    assert said.code == 0, said.err
    last = said.lines[-1]
    assert last["winner"]["env"] == {"X": "2"}
    assert last["verification"]["verdict"] == "GO"
    env, units = tmp_path / "x.env", tmp_path / "systemd"
    applied = hakmem("apply", study, "-o", env, "--systemd", "thing", "--systemd-dir", units)
    assert applied.code == 0, applied.err
    shown = subprocess.run(["sh", "-c", f"set -a; . {env}; printenv X"], capture_output=True)
    assert shown.stdout == b"2\n"
    assert 'Environment="X=2"' in (units / "thing.service.d" / "50-hakmem.conf").read_text()
    again = hakmem("apply", study, "-o", env)
    assert again.code == 2
    assert "exists; --force" in again.err


def test_a_study_goes_on_unless_it_is_forced_to_begin_anew(tmp_path: Path) -> None:
    program, study = sleeper(tmp_path, BODY), tmp_path / "study"
    wanted = ("tune", "-P", "X", "1:2", "--trials", "2", "--max-time", "4", "-o", study)
    assert hakmem(*wanted, "--", *program).code == 0
    mine = study / "notes.txt"
    mine.write_text("mine")

    def first_sweep() -> str:
        with Store.open(study / "rung-1-1.sweep") as store:
            return store.identity

    before = first_sweep()
    assert hakmem(*wanted, "--", *program).code == 0
    assert first_sweep() == before
    other = hakmem(*wanted, "--", "true")
    assert other.code == 2
    assert "holds another experiment" in other.err
    assert hakmem(*wanted, "--force", "--", *program).code == 0
    assert first_sweep() != before
    assert mine.read_text() == "mine"


def test_an_arm_of_a_sweep_is_verified_before_it_is_written(tmp_path: Path) -> None:
    program, sweep = sleeper(tmp_path, BODY), tmp_path / "a.sweep"
    hakmem("ab", "X=0", "X=2", "X=9", "-o", sweep, "--max-time", "10", "--", *program)
    applied = hakmem("apply", sweep)
    assert applied.code == 0, applied.err
    assert "verifying X=2" in applied.err
    assert "X=2\n" in applied.out
    same = hakmem("apply", sweep, "--arm", "X=9", "--max-time", "2", "--force", "-o",
                  tmp_path / "forced.env")  # fmt: skip
    assert same.code == 0
    refused = hakmem("apply", sweep, "--arm", "X=9", "--max-time", "2")
    assert refused.code == 3
    assert refused.out == ""
    assert "nothing is written" in refused.err


def test_bad_input_to_tune_and_apply_gets_one_clear_line(tmp_path: Path) -> None:
    cases = [
        (("tune", "--", "true"), 2, "nothing to search"),
        (("tune", "-k", "HAKMEM_NO_SUCH", "--", "true"), 2, "HAKMEM_NO_SUCH"),
        (("tune", "-P", "X", "0:3"), 2, "no command"),
        (("apply", tmp_path / "none"), 2, "no such study"),
        (("apply", tmp_path), 2, "no finished search"),
    ]
    for arguments, code, words in cases:
        said = hakmem(*arguments)
        assert said.code == code, said
        assert words in said.err
        assert len(said.err.splitlines()) == 1
