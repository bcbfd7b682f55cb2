"""`hakmem knobs set NAME=VALUE -p PID` and `hakmem knobs reset [NAME] -p PID`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hakmem_tools.cli.errors import DONE, INCONCLUSIVE, say
from hakmem_tools.cli.output import print_json, print_line
from hakmem_tools.cli.target_options import positive

if TYPE_CHECKING:
    from hakmem_tools.observe.live_knobs import Applied

_PID = click.option("-p", "--pid", type=int, required=True, metavar="PID", help="Its process id.")
_WAIT = click.option(
    "--wait", type=float, default=2.0, metavar="SECONDS", help="Wait so long for the answer."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print a JSON line for each change.")


@click.command("set")
@click.argument("assignments", nargs=-1, required=True, metavar="NAME=VALUE...")
@_PID
@_WAIT
@_JSON
def set_command(assignments: tuple[str, ...], pid: int, wait: float, as_json: bool) -> int:
    """Change live knobs of a running process; `hakmem knobs reset` takes it back."""
    from hakmem_tools.model.settings import parse_setting
    from hakmem_tools.observe.counters import CountersSource
    from hakmem_tools.observe.live_knobs import set_knob

    positive("--wait", wait)
    with CountersSource(pid) as source:
        for assignment in assignments:  # all are understood, or none is sent
            parse_setting(source.descriptors, assignment)
        codes = [
            _show(set_knob(source, assignment, wait_s=wait), as_json) for assignment in assignments
        ]
    return max(codes)


@click.command("reset")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@_PID
@_WAIT
@_JSON
def reset_command(names: tuple[str, ...], pid: int, wait: float, as_json: bool) -> int:
    """Take live knobs, or all of them, back to what the process started with."""
    from hakmem_tools.observe.counters import CountersSource
    from hakmem_tools.observe.live_knobs import reset_knobs

    positive("--wait", wait)
    with CountersSource(pid) as source:
        codes = [
            _show(reset_knobs(source, name, wait_s=wait), as_json) for name in names or (None,)
        ]
    return max(codes)


def _show(applied: Applied, as_json: bool) -> int:
    env = applied.knob.env_name(applied.index) if applied.knob else None
    if as_json:
        print_json(
            {
                "pid": applied.pid,
                "name": applied.knob.name if applied.knob else None,
                "env": env,
                "index": applied.index,
                "value": applied.value,
                "source": applied.source,
                "answered": applied.answered,
                "policy_version": applied.policy_version,
            }
        )
    elif applied.answered:
        now = f"{env}={applied.value} ({applied.source})" if env else "every live knob as at start"
        print_line(f"{now}, policy {applied.policy_version}")
    if applied.answered:
        return DONE
    say(
        f"process {applied.pid} did not answer, and nothing has changed: it answers while it "
        "allocates; --wait SECONDS waits longer"
    )
    return INCONCLUSIVE
