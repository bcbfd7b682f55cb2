"""What holds for every test: none can hang the suite, none leaves a process behind, and those that
look at one thing of the whole machine do so one after the other.
"""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TextIO

import pytest
from hypothesis import HealthCheck, settings

from tests.hang_guard import LIMIT_S, begin_run, end_left_over, limited, uncaptured_stderr

_STDERR = pytest.StashKey[TextIO]()
_ROOT = Path(__file__).parent
#: These put probes on the one library file, or ask who has: never two of them at a time.
_PROBES = (
    "contract",
    "integration/bpf",
    "integration/knobs",
    "integration/learn",
    "integration/observe",
    "integration/profile",
    "integration/test_demo.py",
    "integration/test_readme_c7.py",
    "integration/test_reliability.py",
)


# A busy machine is slow, and no verdict depends on a clock: what hangs is the guard's.
settings.register_profile("hakmem", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hakmem")


def pytest_configure(config: pytest.Config) -> None:
    # Started by a shell in the background, the suite and all that it starts would ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.stash[_STDERR] = uncaptured_stderr()
    begin_run()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Says which tests stay together when several run at a time (`-n 2 --dist loadgroup`)."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            name = item.path.relative_to(_ROOT).as_posix()
            group = "probes" if name.startswith(_PROBES) else name
            item.add_marker(pytest.mark.xdist_group(group))


def _guarded(item: pytest.Item, phase: str) -> Generator[None, object, object]:
    with limited(f"{item.nodeid} ({phase})", item.config.stash[_STDERR], LIMIT_S):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    return (yield from _guarded(item, "setup"))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    return (yield from _guarded(item, "call"))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    return (yield from _guarded(item, "teardown"))


@pytest.fixture(scope="session", autouse=True)
def no_process_is_left_running() -> Iterator[None]:
    """Fails the run when a test has left a process behind; torn down after all other fixtures."""
    yield
    left = end_left_over()
    assert not left, "left running by a test:\n" + "\n".join(left)
