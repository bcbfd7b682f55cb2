"""The profile screen: who allocates, live; a tree of call sites, or histograms."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal

from hakmem_tools.model.profile import NoSuchView
from hakmem_top.keys import SCREEN_KEYS
from hakmem_top.lines import Line, Span, fit, spread, wrap
from hakmem_top.moment import Moment
from hakmem_top.profile import panels
from hakmem_top.profile.desk import FAILED, ProfileDesk
from hakmem_top.profile.present import (
    AXES,
    CUTS,
    Branch,
    detail,
    flat_rows,
    matches,
    tree,
    tree_rows,
)
from hakmem_top.profile.present import Path as TreePath
from hakmem_top.profile.table import detail_lines, flat_table, tree_table
from hakmem_top.screens.base import TableScreen
from hakmem_top.screens.site_detail import SiteDetailScreen
from hakmem_top.tables import Table, text_table
from hakmem_top.widgets.line_view import LineView
from hakmem_top.widgets.row_table import RowTable

HEADINGS = {"thread": "thread", "class": "size class, path", "size": "block size",
            "lifetime": "lived for"}  # fmt: skip


class ProfileScreen(TableScreen):
    """Call sites by view; unfolds towards the callers, or down from main."""

    NAME = "profile"
    TITLE = "Profile"
    SORT_KEYS = (("bytes", True), ("blocks", True), ("label", False))
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key.keys, key.action, key.hint) for key in SCREEN_KEYS["profile"]
    ]

    def __init__(self) -> None:
        super().__init__()
        self.cut, self.axis = "live", "site"
        self.inverted = True
        self.unfolded: dict[TreePath, bool] = {}
        self._root: Branch | None = None
        self._grown_for: tuple[object, ...] = ()
        self._why = ""

    @property
    def desk(self) -> ProfileDesk:
        """Where the samples are."""
        return self.top.profile_desk

    def body(self) -> ComposeResult:
        """Four lines, the caption, the table."""
        yield LineView(self._panel, id="profile-panel")
        yield LineView(self._caption, id="caption")
        with Horizontal(id="profile-main"):
            yield RowTable(id="rows")
            yield LineView(self._side, title=self._side_title, id="site-side")

    def show(self, moment: Moment) -> None:
        """Sampling begins when the screen is seen and the process is known."""
        if moment.snapshot is not None and self.is_current:
            self.desk.start(moment.snapshot.pid)
        super().show(moment)

    # ---- what is shown

    def _panel(self, moment: Moment, width: int, height: int) -> list[Line]:
        profile, desk = self.desk.profile, self.desk
        if desk.state == FAILED and profile is None:
            rows = wrap(desk.failure, width - 2)
            head: Line = [Span("✗ no profile", "alarm")]
            return [head, *(fit([Span(row, "value")], width) for row in rows)]
        if profile is None:
            return [[Span("◌ attaching the probes of call sites ...", "label")]]
        lines = panels.panel(profile, self.cut, self.axis, desk.during(), desk.was_reset, width)
        for text in self._told():
            lines.append(fit([Span("missing ", "warn"), Span(text, "label")], width))
        return lines[:height]

    def _told(self) -> tuple[str, ...]:
        """What is missing: where sampling failed, where stacks break off, what nobody can tell."""
        desk = self.desk
        failure = (desk.failure,) if desk.failure else ()
        if desk.profile is None:
            return (*failure, *desk.missing)
        cut_off = panels.advice(desk.profile, self.cut, self.axis, desk.during())
        return (*failure, *cut_off, *desk.missing)

    def _side(self, moment: Moment, width: int, height: int) -> list[Line]:
        """Where there is room: the site under the cursor in full."""
        path, profile = self.rows.cursor_key, self.desk.profile
        if profile is None or not isinstance(path, tuple) or self.axis != "site":
            return []
        found = detail(profile, path, self.desk.during(), self.inverted)
        return [fit(line, width) for line in detail_lines(found)[:height]]

    def _side_title(self, moment: Moment, width: int) -> Line:
        return [Span("The site under the cursor (Enter)", "head")]

    def on_row_table_cursor_moved(self, event: RowTable.CursorMoved) -> None:
        """The side follows the cursor."""
        self.query_one("#site-side", LineView).show(self.top.moment)

    def draw(self, moment: Moment) -> None:
        """Gives the panel a row for each thing that is missing, as far as there is room."""
        more = len(self._told())
        self.query_one("#profile-panel").styles.height = 4 + min(more, 1 + self.size.height // 16)
        side = self.query_one("#site-side", LineView)
        side.display = self.axis == "site" and self.size.width >= 180
        super().draw(moment)

    def table(self, moment: Moment, width: int) -> Table:
        """The tree, or a histogram."""
        profile = self.desk.profile
        if profile is None:
            return text_table(())
        signed = self.cut == "growth" and self.axis != "lifetime"
        try:
            if self.axis == "site":
                self._grow()
                rows = tree_rows(self._root, self.unfolded) if self._root is not None else []
                return tree_table(
                    rows, width, signed=signed, sort_key="bytes", descending=True,
                    empty=self._empty(),
                )  # fmt: skip
            return self._flat(width, signed)
        except NoSuchView as error:
            return flat_table([], HEADINGS.get(self.axis, "call site"), width, signed=False,
                              sort_key="", descending=True, empty=str(error))  # fmt: skip

    def _grow(self) -> None:
        """Makes the tree anew, when there is something new to make it of."""
        asked = (self.desk.version, self.cut, self.inverted, self.filter_text)
        if asked != self._grown_for and self.desk.profile is not None:
            self._root = tree(
                self.desk.profile, self.cut, self.desk.during(), inverted=self.inverted,
                query=self.filter_text,
            )  # fmt: skip
            self._grown_for = asked

    def _flat(self, width: int, signed: bool) -> Table:
        assert self.desk.profile is not None
        found = flat_rows(self.desk.profile, self.cut, self.axis, self.desk.during())
        words = self.filter_text.lower().split()
        found = [row for row in found if all(word in row.label.lower() for word in words)]
        if self.axis in ("thread", "class") or self.sort_key != "bytes":
            found.sort(key=self._order, reverse=self.descending)
        return flat_table(
            found, HEADINGS[self.axis], width, signed=signed, sort_key=self.sort_key,
            descending=self.descending, empty=self._empty(),
        )  # fmt: skip

    def _order(self, row: object) -> tuple[float, str]:
        from hakmem_top.profile.present import FlatRow

        assert isinstance(row, FlatRow)
        if self.sort_key == "label":
            return 0.0, row.label
        return (row.estimate.objects if self.sort_key == "blocks" else row.estimate.value), ""

    def _empty(self) -> str:
        if self.filter_text:
            return f"No stack has '{self.filter_text}'. Press f to change the filter."
        return "No sample yet: one is taken every so many bytes (see trust)."

    def caption(self, moment: Moment, width: int) -> Line:
        """Which rows are shown, and which way the tree grows."""
        what = "Call sites" if self.axis == "site" else f"By {self.axis}"
        start: Line = [Span(f" {what} ", "strong"), Span(self.rows.position(), "label")]
        if self.filter_text:
            start.append(Span(f", filter '{self.filter_text}'", "warn"))
        way = "unfolds to the callers " if self.inverted else "unfolds from main "
        return spread(start, [Span(way if self.axis == "site" else "", "label")], width)

    # ---- keys

    def action_next_cut(self) -> None:
        """The next view."""
        self._step_cut(1)

    def action_previous_cut(self) -> None:
        """The view before."""
        self._step_cut(-1)

    def _step_cut(self, step: int) -> None:
        names = list(CUTS)
        self.cut = names[(names.index(self.cut) + step) % len(names)]
        self.refresh_rows()

    def action_next_axis(self) -> None:
        """By site, thread, class, size, lifetime."""
        self.axis = AXES[(AXES.index(self.axis) + 1) % len(AXES)]
        self.refresh_rows()

    def action_turn(self) -> None:
        """Callers below, or callees below."""
        self.inverted = not self.inverted
        self.unfolded = {}
        self.refresh_rows()

    def action_unfold(self) -> None:
        """Shows what is below the row."""
        self._fold(True)

    def action_fold(self) -> None:
        """Hides what is below the row; where nothing is, goes to the row above it."""
        path = self.rows.cursor_key
        if isinstance(path, tuple) and len(path) > 1 and not self._is_open(path):
            self.rows.move_to(path[:-1])
        else:
            self._fold(False)

    def _is_open(self, path: TreePath) -> bool:
        keys = list(self.rows.row_keys)
        at = keys.index(path)
        return at + 1 < len(keys) and keys[at + 1][: len(path)] == path  # type: ignore[index]

    def _fold(self, unfolded: bool) -> None:
        path = self.rows.cursor_key
        if isinstance(path, tuple):
            self.unfolded[path] = unfolded
            self.refresh_rows()

    def action_sort(self) -> None:
        """Sorts a histogram; a tree has its own order."""
        if self.axis == "site":
            self.say("the tree is sorted by bytes; b shows threads, classes, sizes, lifetimes")
        else:
            super().action_sort()

    def _find(self, from_cursor: bool) -> None:
        """Unfolds the way to what is found, then goes there."""
        if self.axis == "site" and self._root is not None and self.search_text:
            for path in matches(self._root, self.search_text):
                for depth in range(1, len(path)):
                    self.unfolded[path[:depth]] = True
            self.refresh_rows()
        super()._find(from_cursor)

    def open_row(self, key: Hashable) -> None:
        """Shows a call site in full."""
        if isinstance(key, tuple) and self.axis == "site":
            self.app.push_screen(SiteDetailScreen(key, self.inverted))
        else:
            self.say("call sites open: b goes back to them")

    def export(self, directory: Path) -> str:
        """Writes the recording so far, for `hakmem report` and the flame graphs."""
        path = self.desk.write(directory)
        return f"wrote {path.name}" if path else "nothing was sampled yet, so nothing to write"
