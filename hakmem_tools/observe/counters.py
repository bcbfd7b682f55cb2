"""The counters source: Snapshots from a process's counters page, without privilege.

Follows the process through an exec (which makes a new page, or none) and keeps the page
readable after its end, so that final counts are not lost. Tells no single events and no
stacks: that is the BPF source's part.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from hakmem_tools.model.descriptors import Descriptors
from hakmem_tools.model.snapshot import ClassCounts, Event, Snapshot
from hakmem_tools.native.abi import load_abi
from hakmem_tools.observe.page import (
    BlockSummer,
    KnobSetting,
    Layout,
    PageError,
    PageReader,
    SizeClass,
    Tally,
    read_classes,
    read_descriptors,
    read_exactly,
    read_knobs,
    read_layout,
    read_texts,
)
from hakmem_tools.observe.page_file import PAGE_LINK, FoundPage, find_page
from hakmem_tools.observe.proc import Process, Usage
from hakmem_tools.observe.source import NoPage, NotPermitted, TargetGone

NO_EVENTS = "events and stacks: the counters page holds totals only"
#: A retiring thread's block takes microseconds; after this many tries threads end in a storm.
_RETIRE_TRIES = 16
_RETIRE_PAUSE_S = 0.0005
#: A program that has just been started needs milliseconds to make its page.
_EXEC_TRIES = 40
_EXEC_PAUSE_S = 0.005


class _Page:
    """One open page with all that is read from it once."""

    def __init__(self, found: FoundPage) -> None:
        """Raises PageError."""
        abi = load_abi()
        self.abi = abi
        self.found = found
        self.reader = found.reader
        self.layout, fields = read_layout(self.reader, abi)
        self.texts = read_texts(self.reader, fields)
        self.descriptors = read_descriptors(self.texts)
        self.classes = read_classes(self.reader, abi, self.layout)
        self.summer = BlockSummer(self.layout, self.descriptors)
        self.tiny_class_count: int = fields["tiny_class_count"]
        self.control_offset: int = fields["control_offset"]

    def head(self) -> dict[str, int]:
        """The header's fields now."""
        size = self.abi.header_bytes
        data = read_exactly(self.reader, 0, size, "its header")
        return self.abi.fields("hak_page_header", data)

    def mode_text(self, number: int) -> str:
        for knob in self.descriptors.knobs:
            if knob.name == "mode":
                return str(knob.present(number))
        return str(number)


class CountersSource:
    """Source of one process's counters page. Used by one thread at a time; close it."""

    name = "counters"

    def __init__(
        self,
        pid: int,
        *,
        now_ns: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Raises NoSuchProcess, NotPermitted, NoPage; the message is one line."""
        self.pid = pid
        self.missing: tuple[str, ...] = (NO_EVENTS,)
        self._now_ns = now_ns
        self._sleep = sleep
        self._process = Process(pid)
        try:
            self._page = self._open_page()
        except TargetGone as error:
            self._process.close()
            raise NoPage(f"{error} before its counters page could be read") from None
        except BaseException:
            self._process.close()
            raise

    # ---- what the page says once ----

    @property
    def layout(self) -> Layout:
        """The page's header."""
        return self._page.layout

    @property
    def version(self) -> str:
        """Version of the library that the process runs."""
        return self._page.layout.version

    @property
    def descriptors(self) -> Descriptors:
        """The tables that the page carries."""
        return self._page.descriptors

    @property
    def texts(self) -> dict[str, str]:
        """The descriptor texts themselves, for a recording."""
        return self._page.texts

    @property
    def size_classes(self) -> tuple[SizeClass, ...]:
        """Stride and tier of each class."""
        return self._page.classes

    @property
    def page_path(self) -> str:
        """Where the page was found, as a path; "" when it is read from memory."""
        way = self._page.found.way
        return "" if way == "memory" else f"/proc/{self.pid}/{way}"

    @property
    def page_reader(self) -> PageReader:
        """The page's bytes, for readers of what this source does not tell."""
        return self._page.reader

    @property
    def control_offset(self) -> int:
        """Where the control record lies in the page, in bytes; 0 without one."""
        return self._page.control_offset

    @property
    def process(self) -> Process:
        """The handle on the process; closed with the source."""
        return self._process

    # ---- what it says now ----

    def snapshot(self) -> Snapshot:
        """Absolute counters now. Raises TargetGone, NotPermitted."""
        usage = self._process.usage()
        self._follow_exec()
        return self._take(usage)

    def final_snapshot(self) -> Snapshot:
        """The last counts of a process that has ended. Raises TargetGone when they went with it."""
        if not self._page.reader.outlives_target:
            raise TargetGone(f"process {self.pid} has ended, and its last counts with it")
        return self._take(None)

    def knobs(self) -> tuple[KnobSetting, ...]:
        """Every effective knob value, with where it came from. Raises NoPage."""
        page = self._page
        try:
            return read_knobs(page.reader, page.abi, page.layout, page.descriptors)
        except PageError as error:
            raise NoPage(self._bad_page(error)) from None

    def events(self, timeout_s: float) -> Sequence[Event]:
        """Always empty, after `timeout_s`."""
        self._sleep(timeout_s)
        return ()

    def close(self) -> None:
        """Lets go of the page and the process; may be called twice."""
        self._page.reader.close()
        self._process.close()

    def __enter__(self) -> CountersSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- how ----

    def _open_page(self) -> _Page:
        found = find_page(self._process, load_abi())
        if found is None:
            raise NoPage(self._why_no_page())
        try:
            return _Page(found)
        except PageError as error:
            found.reader.close()
            raise NoPage(self._bad_page(error)) from None

    def _bad_page(self, error: PageError) -> str:
        return f"process {self.pid}: its counters page cannot be used: {error}"

    def _why_no_page(self) -> str:
        if any("libhakmem" in row.path for row in self._process.maps()):
            return (
                f"process {self.pid} runs libhakmem but shows no counters page: it has not "
                "allocated yet, or was started with HAKMEM_PAGE=0"
            )
        return (
            f"process {self.pid} does not run libhakmem; "
            "start it with `hakmem run -- COMMAND` or LD_PRELOAD"
        )

    def _follow_exec(self) -> None:
        """Opens the page anew when the process has started another program, or forked anew."""
        if self._still_there():
            return
        for attempt in range(_EXEC_TRIES):
            try:
                page = self._open_page()
            except (NoPage, NotPermitted) as error:
                self._process.usage()
                if attempt == _EXEC_TRIES - 1:
                    raise TargetGone(str(error)) from None
                self._sleep(_EXEC_PAUSE_S)
            else:
                self._page.reader.close()
                self._page = page
                return

    def _still_there(self) -> bool:
        way = self._page.found.way
        try:
            if way.startswith("fd/"):
                status = self._process.stat(way)
                return (status.st_dev, status.st_ino) == self._page.reader.identity
            inode = self._page.reader.identity[1]
            return any(row.path == PAGE_LINK and row.inode == inode for row in self._process.maps())
        except OSError:
            return False

    def _take(self, usage: Usage | None) -> Snapshot:
        try:
            tally, head, settled = self._read_settled()
        except PageError as error:
            raise TargetGone(self._bad_page(error)) from None
        except OSError as error:
            raise TargetGone(f"process {self.pid}: its counters page went: {error}") from None
        page = self._page
        missing = self.missing
        if not settled:
            missing += ("exact sums: threads ended faster than the page could be read",)
        return Snapshot(
            pid=self.pid,
            time_ns=self._now_ns(),
            source=self.name,
            version=page.layout.version,
            mode=page.mode_text(head["mode"]),
            policy_version=head["policy_version"],
            scalars=tally.scalars,
            classes=tuple(
                ClassCounts(index=i, size_bytes=row.size_bytes, tier=row.tier, counts=counts)
                for i, (row, counts) in enumerate(zip(page.classes, tally.classes, strict=True))
            ),
            gauges=page.descriptors.gauges,
            missing=missing,
            threads=usage.threads if usage else None,
            rss_bytes=usage.rss_bytes if usage else None,
            start_ns=head["start_ns"],
        )

    def _read_settled(self) -> tuple[Tally, dict[str, int], bool]:
        """The tally, the header, and whether no thread retired while they were read."""
        page = self._page
        for attempt in range(_RETIRE_TRIES):
            before = page.head()
            tally = page.summer.sum(page.reader, before["blocks_used"])
            after = page.head()["retire_seq"]
            if before["retire_seq"] == after and after % 2 == 0:
                return tally, before, True
            if attempt >= _RETIRE_TRIES // 2:
                self._sleep(_RETIRE_PAUSE_S)
        return tally, before, False
