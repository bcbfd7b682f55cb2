"""Runs the real hakmem-top on the scripted source, for the tests in a real terminal.

    python -m tests.tui.replay_app [--seconds N] [--counters] [--failing] [--ends] [--refuse]

The exit code is the app's; an error at the start is one line on stderr and code 4.
"""

from __future__ import annotations

import argparse
import sys

from hakmem_top.app import run
from tests.tui.fake_source import NO_PRIVILEGE, FakeSource


def main() -> int:
    """Parses the flags and shows the script, twenty of its seconds each second."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=30)
    for flag in ("--counters", "--failing", "--ends", "--refuse"):
        parser.add_argument(flag, action="store_true")
    options = parser.parse_args()

    def make_source() -> FakeSource:
        if options.refuse:
            raise PermissionError("process 4242 belongs to somebody else; run as root")
        return FakeSource(
            options.seconds,
            name="counters" if options.counters else "bpf",
            missing=NO_PRIVILEGE if options.counters else (),
            failing=options.failing,
            ends=options.ends,
        )

    try:
        return run(make_source=make_source, interval_s=0.05, title="redis-server *:6379")
    except PermissionError as error:
        print(f"hakmem: {error}", file=sys.stderr)
        return 4


if __name__ == "__main__":
    sys.exit(main())
