"""The library of this checkout and its tables, opened once."""

from __future__ import annotations

import pytest

from hakmem_tools.model.descriptors import Descriptors
from hakmem_tools.native.header import find_library
from hakmem_tools.native.library import Library


@pytest.fixture(scope="session")
def library() -> Library:
    return Library(find_library())


@pytest.fixture(scope="session")
def descriptors(library: Library) -> Descriptors:
    return library.descriptors
