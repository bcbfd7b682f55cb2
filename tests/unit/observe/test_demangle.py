"""C++ and Rust names, and those that only look like them."""

from __future__ import annotations

import pytest

from hakmem_tools.observe.demangle import demangle, is_mangled


@pytest.mark.parametrize(
    ("mangled", "shown"),
    [
        ("_ZN3app4Tree4growEi", "app::Tree::grow"),
        ("_ZN12_GLOBAL__N_14leakEi", "(anonymous namespace)::leak"),
        ("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE", "core::fmt::Write::write_fmt"),
        ("_RNvCs1234_7mycrate3foo", "mycrate::foo"),
        ("_RNvXs_Cs1_1aShNtB4_1T1f", "<[u8] as a::T>::f"),
        ("main", "main"),
        ("_ZN3app4TreeE.part.0", "app::Tree"),
        ("_Znwm", "operator new"),
    ],
)
def test_a_name_is_shown_as_people_write_it(mangled: str, shown: str) -> None:
    assert demangle([mangled]) == {mangled: shown}


def test_a_batch_keeps_each_name_with_its_own() -> None:
    names = ["_ZN1a1bEv", "plain", "_ZN1c1dEv", "_Znot_a_name"]
    assert list(demangle(names).values()) == ["a::b", "plain", "c::d", "_Znot_a_name"]


@pytest.mark.parametrize(
    "name", ["_Z3a\nb", "_ZN1a 1bEv", "_Z" + "a" * 9000, "-f", "", "_Z\x1b[2J"]
)
def test_what_could_break_the_batch_is_not_sent(name: str) -> None:
    def refuse(text: str) -> str:
        raise AssertionError(text)

    assert not is_mangled(name)
    assert demangle([name], refuse) == {name: name}


@pytest.mark.parametrize("answer", ["", "one line too few\n", "a\nb\nc\n"])
def test_a_demangler_that_fails_leaves_names_as_they_are(answer: str) -> None:
    names = ["_ZN1a1bEv", "_ZN1c1dEv"]
    assert demangle(names, lambda _: answer) == {name: name for name in names}
