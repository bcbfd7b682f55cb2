"""The tree of headers that stands in for the kernel's."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from hakmem_tools.observe.bpf.stub_headers import HEADERS, stub_tree


def test_the_tree_holds_every_header_under_a_directory_of_its_users_own(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    tree = stub_tree(cache)
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert all((tree / "include" / name).is_file() for name in HEADERS)


def test_a_directory_that_others_may_enter_is_closed_to_them(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    stub_tree(cache)
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700


def test_a_tree_that_is_there_is_used_again(tmp_path: Path) -> None:
    first = stub_tree(tmp_path)
    before = (first / "include/linux/types.h").stat().st_mtime_ns
    assert stub_tree(tmp_path) == first
    assert (first / "include/linux/types.h").stat().st_mtime_ns == before


def test_a_damaged_header_is_mended(tmp_path: Path) -> None:
    header = stub_tree(tmp_path) / "include/linux/kconfig.h"
    text = header.read_text()
    header.write_text("#error damaged\n")
    stub_tree(tmp_path)
    assert header.read_text() == text


def test_a_lost_header_comes_back(tmp_path: Path) -> None:
    header = stub_tree(tmp_path) / "include/asm/page.h"
    header.unlink()
    stub_tree(tmp_path)
    assert header.is_file()


def test_nothing_but_the_tree_is_left_in_the_cache(tmp_path: Path) -> None:
    tree = stub_tree(tmp_path)
    assert list(tmp_path.iterdir()) == [tree]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12345)
    with pytest.raises(PermissionError, match="belongs to user 12345"):
        stub_tree(tmp_path)
