"""A sweep of real servers, from the form to the exported page, by the keyboard alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.keys import _character_to_key
from textual.pilot import Pilot

from hakmem_tools.tune.session import Failed, Finished
from hakmem_tools.tune.store import Store
from hakmem_top.app import HakmemTop
from hakmem_top.sweep.desk import SweepDesk, Told
from tests.integration.tune.commands import LIMIT_S
from tests.integration.tune.specs import shortened
from tests.tui.driving import drive, make_app, screen_text, settled, table_rows, until
from tests.tui.fake_source import FakeSource

ARMS = ("jemalloc", "jemalloc, purge at once", "mimalloc", "mimalloc, purge at once", "hakmem",
        "hakmem, purge after 10 ms")  # fmt: skip


class WatchedDesk(SweepDesk):
    """The real desk; `over` is set by its session's last message."""

    def __init__(self, tell: Callable[[Told], object]) -> None:
        super().__init__(tell)
        self.over = asyncio.Event()

    def receive(self, told: Told) -> None:
        super().receive(told)
        if isinstance(told.message, Finished | Failed):
            self.over.set()


def test_redis_under_three_allocators_and_their_purge_knobs_is_swept_from_the_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    spec = shortened("redis.toml", tmp_path, **{'"200000"': '"2000"'})
    app = make_app(FakeSource(3), make_sweep_desk=WatchedDesk, export_directory=tmp_path)

    async def body(app: HakmemTop, pilot: Pilot[None]) -> None:
        await settled(pilot, 3)
        await pilot.press("6", "enter", *map(_character_to_key, str(spec)), "enter")
        await pilot.pause()
        assert "6 arms" in screen_text(app)
        await pilot.press("x")
        desk = app.sweep_desk
        assert isinstance(desk, WatchedDesk)
        async with asyncio.timeout(LIMIT_S):
            await desk.over.wait()
        moment = desk.moment()
        assert moment.error == ""
        await until(pilot, lambda: "complete" in screen_text(app))
        rows = table_rows(app)
        assert len(rows) == len(ARMS)
        for arm, row in zip(ARMS, rows, strict=True):
            assert arm[:12] in row
            good, failed = moment.runs[arm]
            assert good >= 3
            assert failed == 0
        assert moment.result is not None
        assert moment.result.refused == {}
        await pilot.press("e")
        await pilot.pause()
        assert moment.path is not None
        with Store.open(moment.path) as store:
            assert {trial.arm for trial in store.trials()} == set(ARMS)

    drive(app, body, size=(160, 45))
    page = (tmp_path / "hakmem-sweep-1.html").read_text()
    for arm in ARMS:
        assert arm in page
