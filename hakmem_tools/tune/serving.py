"""A measured server's life beside its load generator: ready, loaded, stopped.

The runner uses it for plans with a server. It waits on conditions, never for a fixed time.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import time
from typing import IO

from hakmem_tools.tune.plan import Server
from hakmem_tools.tune.process import Child, Ended

_POLL = 0.005


class ServingError(RuntimeError):
    """The server did not come up, or ended under load: one line."""


class Serving:
    """A started server. `wait_ready`, `watch` while the load runs, then `stop`."""

    def __init__(self, server: Server, child: Child, output: IO[bytes]) -> None:
        self._server = server
        self._child = child
        self._output = output

    @staticmethod
    def check_port(server: Server) -> None:
        """ServingError if something answers on the port before the server was even started."""
        if server.ready_port and _answers(server.ready_port):
            raise ServingError(
                f"server {server.command[0]}: port {server.ready_port} is taken by another process"
            )

    def wait_ready(self) -> None:
        """Return once the server answers; ServingError if it ends or takes too long."""
        deadline = time.perf_counter() + self._server.ready_seconds
        while not self._ready():
            if self._child.watch_until(min(deadline, time.perf_counter() + _POLL)):
                raise ServingError(f"server {self._server.command[0]}: ended before it was ready")
            if time.perf_counter() >= deadline:
                raise ServingError(
                    f"server {self._server.command[0]}: not ready"
                    f" after {self._server.ready_seconds:g} s"
                )

    def watch(self, load: Child, timeout: float) -> None:
        """Sample the server's memory until the load ends or its time is up."""
        deadline = load.started + timeout
        load_end = os.pidfd_open(load.pid)
        try:
            if self._child.watch_until(deadline, load_end) and not load.over:
                load.kill()
                raise ServingError(f"server {self._server.command[0]}: ended under load")
        finally:
            os.close(load_end)

    def stop(self, loaded: Ended) -> Ended:
        """Stop the server, by force if need be; its account, with the load's wall time.

        What the server does while it stops is not part of the wall time.
        """
        number = signal.Signals[f"SIG{self._server.stop_signal.removeprefix('SIG')}"]
        self._child.kill(number)
        if not self._child.watch_until(time.perf_counter() + self._server.stop_seconds):
            self._child.kill()
        return self._child.reap(loaded.wall, loaded.timed_out)._replace(code=loaded.code)

    def _ready(self) -> bool:
        if self._server.ready_port:
            return _answers(self._server.ready_port)
        # pread: the server writes through this very file offset.
        text = os.pread(self._output.fileno(), 1 << 20, 0).decode(errors="replace")
        return re.search(self._server.ready_regex, text, re.MULTILINE) is not None


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 0.2).close()
        return True
    return False
