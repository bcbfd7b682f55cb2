"""The files that put a setting to work mean what the setting says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakmem_tools.tune.apply import drop_in, drop_in_path, env_file, settings
from hakmem_tools.tune.plan import PlanError

VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)


@given(VALUES)
def test_a_shell_reads_back_the_very_value(value: str) -> None:
    script = env_file({"A": value}, "why\nand how") + 'printf %s "$A"'
    shown = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout == value


def test_a_drop_in_escapes_what_systemd_would_expand() -> None:
    text = drop_in({"A": 'a%b "c" \\d'}, "because")
    assert text == '# because\n[Service]\nEnvironment="A=a%%b \\"c\\" \\\\d"\n'


def test_a_preload_is_made_absolute_unless_the_loader_finds_it_by_name() -> None:
    env = settings({"LD_PRELOAD": "build/x.so:liby.so"}, {"B": "2"}, "/opt")
    assert env == {"LD_PRELOAD": "/opt/build/x.so:liby.so", "B": "2"}


def test_a_line_break_is_refused() -> None:
    with pytest.raises(PlanError, match="line break"):
        settings({}, {"A": "1\n[Service]"}, "/")


def test_a_drop_in_goes_beside_its_unit_and_no_name_leads_elsewhere() -> None:
    root = Path("/etc/systemd/system")
    assert drop_in_path("redis", root) == root / "redis.service.d" / "50-hakmem.conf"
    assert drop_in_path("a@b.service", root) == root / "a@b.service.d" / "50-hakmem.conf"
    for bad in ("../x", "a/b", "", ".hidden"):
        with pytest.raises(PlanError, match="not a unit's name"):
            drop_in_path(bad, root)
