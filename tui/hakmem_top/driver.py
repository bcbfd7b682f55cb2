"""The terminal driver: Textual's own, which also survives that its terminal goes away.

Used by the app. When a window is closed, writes fail. Textual's writer thread dies of
that, its full queue then blocks the app for ever, and the probes stay attached. Here such
writes vanish instead, so that SIGHUP can end the app in order. It knows nothing of screens.
"""

from __future__ import annotations

from io import TextIOWrapper
from typing import IO, cast

from textual.app import App
from textual.drivers.linux_driver import LinuxDriver


class LastingFile:
    """A file whose writes vanish once one of them has failed.

    What is no Unicode, such as a path of other bytes, becomes question marks.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._gone = False

    def write(self, text: str) -> None:
        """Writes the text, while there is somewhere to write it."""
        if not self._gone:
            try:
                self._file.write(text.encode("utf-8", "replace").decode())
            except (OSError, ValueError):
                self._gone = True

    def flush(self) -> None:
        """Passes on what was written, while there is somewhere to."""
        if not self._gone:
            try:
                self._file.flush()
            except (OSError, ValueError):
                self._gone = True

    def fileno(self) -> int:
        """The file's descriptor."""
        return self._file.fileno()


class TopDriver(LinuxDriver):
    """Textual's driver on a LastingFile."""

    def __init__(
        self,
        app: App[object],
        *,
        debug: bool = False,
        mouse: bool = True,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        if self._file is not None:
            self._file = cast("TextIOWrapper", LastingFile(self._file))

    def _sigcont_application(self, *_: object) -> None:
        """Takes the terminal up again, but only after it was given back for a stop.

        A hangup sends SIGCONT too: a second thread would then read a terminal that has gone,
        for ever.
        """
        if self._must_signal_resume:
            super()._sigcont_application()
