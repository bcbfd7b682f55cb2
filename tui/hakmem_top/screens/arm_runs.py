"""The runs of one arm of a sweep: every one with its value, failed ones with their reason."""

from __future__ import annotations

from textual.app import ComposeResult

from hakmem_top.lines import Line, Span, spread
from hakmem_top.moment import Moment
from hakmem_top.screens.base import TopScreen
from hakmem_top.sweep.present import RunRow, run_rows
from hakmem_top.sweep.table import run_table
from hakmem_top.widgets.line_view import LineView
from hakmem_top.widgets.row_table import RowTable


class ArmRunsScreen(TopScreen):
    """The drill-down of the sweep screen; Esc goes back."""

    NAME = "sweep"
    DRILL_DOWN = True

    def __init__(self, arm: str) -> None:
        super().__init__()
        self._arm = arm
        self._runs: list[RunRow] = []

    def body(self) -> ComposeResult:
        """A caption and the runs."""
        yield LineView(lambda moment, width, height: [self._caption(width)], id="caption")
        yield RowTable(id="runs")

    def on_mount(self) -> None:
        """The runs have the keyboard."""
        super().on_mount()
        self.query_one(RowTable).focus()

    def _caption(self, width: int) -> Line:
        failed = sum(row.status != "ok" for row in self._runs)
        lost = f", {failed} failed" if failed else ""
        start: Line = [Span(" Runs of ", "label"), Span(self._arm, "strong")]
        return spread(
            start, [Span(f"{len(self._runs)} runs{lost}; Esc goes back ", "label")], width
        )

    def draw(self, moment: Moment) -> None:
        """Reads the runs again: there may be more."""
        desk = self.top.sweep_desk
        plan = desk.moment().plan
        metric = plan.metric.name if plan is not None else "wall"
        self._runs = run_rows(desk.runs_of(self._arm), metric)
        self.query_one(RowTable).show(lambda width: run_table(self._runs, metric, width))
        super().draw(moment)
