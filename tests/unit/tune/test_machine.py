"""Machine checks on made-up machines."""

from __future__ import annotations

from pathlib import Path

from hakmem_tools.tune.machine import inspect


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_a_quiet_machine_warns_of_nothing(tmp_path: Path) -> None:
    state = inspect(
        machine(
            tmp_path,
            {
                "proc/loadavg": "0.00 0.1 0.1 1/99 5",
                "proc/meminfo": "MemTotal: 5 kB\nSwapTotal:       0 kB\nSwapFree:  0 kB\n",
                "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance\n",
                "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
            },
        )
    )
    assert state.warnings == ()
    assert state.facts["thp"] == "madvise"
    assert state.facts["swap"] == "none"


def test_load_governor_turbo_huge_pages_and_swap_are_warned_of(tmp_path: Path) -> None:
    state = inspect(
        machine(
            tmp_path,
            {
                "proc/loadavg": "99.0 0.1 0.1 1/99 5",
                "proc/meminfo": "SwapTotal: 1000 kB\nSwapFree:  10 kB\n",
                "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n",
                "sys/devices/system/cpu/intel_pstate/no_turbo": "0\n",
                "sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never\n",
            },
        )
    )
    assert len(state.warnings) == 5
    assert all("\n" not in line for line in state.warnings)


def test_what_cannot_be_read_says_so_instead_of_guessing(tmp_path: Path) -> None:
    facts = inspect(tmp_path).facts
    assert facts["load"] == "unknown"
    assert facts["governor"] == "not visible"


def test_this_machine_can_be_inspected() -> None:
    assert inspect().facts["kernel"]
