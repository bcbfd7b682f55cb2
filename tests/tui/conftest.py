"""Nothing of the developer's terminal may reach the tests."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """The report of pictures that differ goes where everything built goes."""
    if hasattr(config.option, "snapshot_report"):
        config.option.snapshot_report = "build/tui-snapshots.html"


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "COLORFGBG", "TEXTUAL", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
