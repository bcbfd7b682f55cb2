"""Settings as people write them: accepted, and refused with what is allowed."""

from __future__ import annotations

import pytest

from hakmem_tools.model.descriptors import parse_descriptors
from hakmem_tools.model.settings import SettingError, parse_setting, settings_environment
from tests.unit.observe.page_bytes import TEXTS

DESCRIPTORS = parse_descriptors(TEXTS)


@pytest.mark.parametrize(
    ("assignment", "env", "number"),
    [
        ("HAKMEM_LIMIT=12", "HAKMEM_LIMIT", 12),
        ("limit=12", "HAKMEM_LIMIT", 12),
        ("HAKMEM_OLDER=0x10", "HAKMEM_OLDER", 16),
        ("HAKMEM_CAP_C2=100", "HAKMEM_CAP_C2", 100),
        ("cap_1=7", "HAKMEM_CAP_C1", 7),
        ("HAKMEM_HAT_C0=7", "HAKMEM_HAT_C0", 7),
        ("mode=quiet", "HAKMEM_MODE", 0),
        ("HAKMEM_MODE=1", "HAKMEM_MODE", 1),
        ("reuse=off", "HAKMEM_REUSE", 0),
        ("reuse=yes", "HAKMEM_REUSE", 1),
        ("share=.25", "HAKMEM_SHARE", 0.25),
    ],
)
def test_a_setting_is_taken_by_any_of_its_names(assignment: str, env: str, number: float) -> None:
    setting = parse_setting(DESCRIPTORS, assignment)
    assert (setting.env, setting.number) == (env, number)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("HAKMEM_LIMIT=0", r"HAKMEM_LIMIT=0: outside 1\.\.64 blocks"),
        ("HAKMEM_LIMIT=1K", r"HAKMEM_LIMIT=1K: outside 1\.\.64 blocks"),
        ("HAKMEM_LIMIT=-1", r"outside 1\.\.64"),
        ("HAKMEM_LIMIT=", r"HAKMEM_LIMIT=: not understood; allowed is 1\.\.64 blocks"),
        ("HAKMEM_LIMIT=\u0663", r"HAKMEM_LIMIT=\u0663: not understood"),
        ("HAKMEM_SHARE=0.\u0663", "not understood"),
        ("HAKMEM_LIMIT=" + "9" * 10240, r"HAKMEM_LIMIT=9{60}\.\.\.: outside 1\.\.64 blocks$"),
        ("HAKMEM_LIMIT=0x" + "f" * 10240, "outside"),
        ("HAKMEM_LIMIT=a\nb\x1b[2J", r"HAKMEM_LIMIT=a\?b\?\[2J: not understood"),
        ("A" * 10240, r"^A{60}\.\.\.: expected NAME=VALUE$"),
        ("HAKMEM_LIMIT=twelve", "not understood; allowed is"),
        ("HAKMEM_LIMIT=1.5", "not understood"),
        ("HAKMEM_MODE=silent", r"HAKMEM_MODE=silent: not understood; allowed is quiet\|loud"),
        ("HAKMEM_MODE=2", r"outside quiet\|loud"),
        ("HAKMEM_REUSE=maybe", "not understood; allowed is 0 or 1"),
        ("HAKMEM_SHARE=nan", "not understood"),
        ("HAKMEM_SHARE=1.01", r"outside 0\.0\.\.1\.0"),
        ("HAKMEM_CAP_C3=1", r"HAKMEM_CAP_C3: index 3 outside 0\.\.2"),
        ("HAKMEM_CAP_C99999999999999999999=1", r"index 999999999 outside 0\.\.2"),
        ("HAKMEM_CAP_C=1", "HAKMEM_CAP_C: no such knob; did you mean HAKMEM_CAP_C<n>"),
        ("HAKMEM_LIMT=3", "HAKMEM_LIMT: no such knob; did you mean HAKMEM_LIMIT?"),
        ("HAKMEM_CPA_C2=3", "no such knob; did you mean HAKMEM_CAP_C2"),
        ("hakmem_limit=3", "no such knob; did you mean HAKMEM_LIMIT"),
        ("PATH=/bin", "PATH: no such knob; `hakmem knobs` lists them"),
        ("HAKMEM_LIMIT", "HAKMEM_LIMIT: expected NAME=VALUE"),
        ("=3", ": no such knob"),
    ],
)
def test_a_bad_setting_is_refused_with_what_is_allowed(assignment: str, message: str) -> None:
    with pytest.raises(SettingError, match=message) as caught:
        parse_setting(DESCRIPTORS, assignment)
    assert "\n" not in str(caught.value)


def test_zeros_before_a_number_say_nothing_however_many_they_are() -> None:
    assert parse_setting(DESCRIPTORS, "HAKMEM_LIMIT=" + "0" * 5000 + "5").number == 5
    assert parse_setting(DESCRIPTORS, "HAKMEM_LIMIT=0x" + "0" * 50 + "f").number == 15


def test_the_last_of_two_settings_of_a_name_wins() -> None:
    assert settings_environment(DESCRIPTORS, ["limit=3", "HAKMEM_LIMIT=4"]) == {"HAKMEM_LIMIT": "4"}
