"""Choosing a source: BPF where it works, the counters page where it does not, and why."""

from __future__ import annotations

import os

import pytest

from hakmem_tools.observe import open as opening
from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.observe.open import open_source
from hakmem_tools.observe.source import NoPage, Source, SourceUnavailable
from tests.integration.observe.puppet import puppet


def _refuse(pid: int, page: CountersSource) -> Source:
    raise SourceUnavailable("BPF needs CAP_BPF, which user 1000 does not have")


def test_the_counters_page_serves_where_bpf_does_not_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(opening, "_open_bpf", _refuse)
    with puppet() as target:
        source = open_source(target.pid)
        snapshot = source.snapshot()
        source.close()
    assert source.name == "counters"
    assert snapshot.missing == source.missing
    assert len(source.missing) == 1
    assert "events and stacks" in source.missing[0]
    assert "BPF needs CAP_BPF" in source.missing[0]


def test_asking_for_bpf_alone_does_not_fall_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_open_bpf", _refuse)
    with puppet() as target:
        page = CountersSource(target.pid)
        with pytest.raises(SourceUnavailable, match="CAP_BPF"):
            open_source(target.pid, "bpf", page=page)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.stat("stat", dir_fd=page.process._directory)


def test_the_counters_page_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_open_bpf", None)
    with puppet() as target:
        source = open_source(target.pid, "counters")
        assert source.name == "counters"
        source.close()


@pytest.mark.parametrize("want", ["auto", "bpf", "counters"])
def test_a_process_without_the_library_has_no_source(want: opening.Wanted) -> None:
    with puppet(preload=False) as target, pytest.raises(NoPage):
        open_source(target.pid, want)
