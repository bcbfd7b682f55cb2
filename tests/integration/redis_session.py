"""One redis-server with a scripted life, for the test that lives it with and without the library.

Uses a socket in the session's directory, so that sessions cannot meet. It ends its server by pid,
whatever happens.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.integration.preload import LIMIT_S


class Session:
    """A running server and its clients; every program gets the same environment."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self.directory = directory
        self.socket = directory / "redis.sock"
        self.environment = dict(environment)

    @contextmanager
    def server(self) -> Iterator[subprocess.Popen[bytes]]:
        """A server that answers; it is asked to end, and made to if it does not."""
        log = self.directory / "server.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                ["redis-server", "--port", "0", "--unixsocket", self.socket, *self._settings()],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment,
            )
        try:
            self._await(process, lambda: self.ask(b"PING\n") == b"PONG\n")
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(LIMIT_S)

    def _settings(self) -> list[str | Path]:
        return ["--save", "", "--dir", self.directory, "--lazyfree-lazy-user-del", "yes"]

    def ask(self, lines: bytes) -> bytes:
        """The replies to commands, one a line, as redis-cli prints them into a pipe."""
        return self._client("redis-cli", "-s", self.socket, stdin=lines)

    def benchmark(self, requests: int) -> None:
        """A bounded load of every common command from many connections, pipelined and not."""
        for pipeline in ("1", "16"):
            arguments = ["-s", self.socket, "-n", requests, "-c", "20", "-d", "700", "-q"]
            tests = "set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,lrange_100,mset"
            self._client("redis-benchmark", *arguments, "-P", pipeline, "-t", tests)

    def save_in_child(self, process: subprocess.Popen[bytes]) -> bytes:
        """Forks a saving child and waits for it; returns the status that the server gives it."""
        self.ask(b"BGSAVE\n")
        self._await(process, lambda: b"rdb_bgsave_in_progress:0" in self.ask(b"INFO persistence\n"))
        lines = self.ask(b"INFO persistence\n").splitlines()
        return b"\n".join(line for line in lines if line.startswith(b"rdb_last_bgsave_status"))

    def _client(self, *argv: object, stdin: bytes = b"") -> bytes:
        ended = subprocess.run(
            [str(word) for word in argv],
            input=stdin,
            env=self.environment,
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
        )
        return ended.stdout if ended.returncode == 0 else b"exit code %d" % ended.returncode

    def _await(self, process: subprocess.Popen[bytes], condition: Callable[[], bool]) -> None:
        end = time.monotonic() + LIMIT_S
        while not condition():
            log = (self.directory / "server.log").read_text(errors="replace")
            assert process.poll() is None, f"redis-server ended with {process.returncode}:\n{log}"
            assert time.monotonic() < end, f"redis-server does not answer:\n{log}"
            time.sleep(0.02)  # between two looks at the condition
