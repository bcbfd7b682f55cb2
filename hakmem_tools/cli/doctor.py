"""`hakmem doctor`: what works on this machine, and how to mend what does not."""

from __future__ import annotations

import click
import msgspec

from hakmem_tools.cli.errors import DONE, MISSING
from hakmem_tools.cli.output import print_json, print_line


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
@click.option("--lib", metavar="FILE", help="The libhakmem.so to look at.")
def command(as_json: bool, lib: str | None) -> int:
    """Try what hakmem needs: the library, its page, BPF, perf and the machine's settings.

    Exit code 0 when every command works, 4 when something that one of them needs is missing.
    """
    from hakmem_tools.observe.machine import FAILED, run_checks

    failed = False
    for check in run_checks(lib):
        failed = failed or check.status == FAILED
        if as_json:
            print_json(msgspec.structs.asdict(check))
            continue
        print_line(f"{check.status:<8} {check.name:<18} {check.detail}")
        if check.remedy:
            print_line(f"{'':<27} {'note' if check.status == 'ok' else 'mend'}: {check.remedy}")
    return MISSING if failed else DONE
