"""`hakmem knobs`: every knob of the library, or what a process really runs with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hakmem_tools.cli.errors import DONE
from hakmem_tools.cli.output import print_json, print_line, table
from hakmem_tools.cli.target_options import (
    CONTEXT,
    TargetSpec,
    open_target,
    opened_counters,
    optional_target_options,
)

if TYPE_CHECKING:
    from hakmem_tools.model.descriptors import Knob
    from hakmem_tools.observe.page import KnobSetting


class KnobsCommand(click.Command):
    """`knobs` itself, or one of its verbs `set` and `reset` when that is its first word."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        if args and args[0] in ("set", "reset"):
            from hakmem_tools.cli import knobs_live

            verb = knobs_live.set_command if args[0] == "set" else knobs_live.reset_command
            return verb.make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command(cls=KnobsCommand, context_settings=CONTEXT)
@click.option("--effective", is_flag=True, help="Print a process's values and their sources.")
@click.option("--all", "every", is_flag=True, help="Print each value of an indexed knob.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
@optional_target_options
def command(target: TargetSpec, effective: bool, every: bool, as_json: bool) -> int:
    """List every knob; with --effective, the values of -p PID or -- COMMAND.

    `set NAME=VALUE -p PID` changes a live knob, `reset [NAME] -p PID` takes it back.

    An indexed knob (HAKMEM_..._C<n>) is one line, save for values that differ from its default.
    """
    if effective and not target:
        raise click.UsageError("--effective needs a process: -p PID or -- COMMAND")
    records = _of_target(target, effective, every) if target else _of_library(target.lib)
    if as_json:
        for record in records:
            print_json(record)
    else:
        print_line("\n".join(_text(records, effective)))
    return DONE


def knob_record(knob: Knob, index: int | None = None) -> dict[str, Any]:
    """A knob's fields as the JSON line has them; min and max are null for an enum."""
    ranged = knob.type != "enum"
    return {
        "name": knob.name,
        "env": knob.env_name(index),
        "aliases": [
            alias if index is None else alias.replace("<n>", str(index)) for alias in knob.aliases
        ],
        "type": knob.type,
        "choices": list(knob.choices),
        "unit": knob.unit,
        "default": knob.present(knob.default),
        "min": knob.present(knob.min) if ranged else None,
        "max": knob.present(knob.max) if ranged else None,
        "scope": knob.scope,
        "count": knob.count,
        "index": index,
        "doc": knob.doc,
    }


def effective_records(settings: tuple[KnobSetting, ...], *, every: bool) -> list[dict[str, Any]]:
    """One record per plain knob; per index where a value is not the default, or with `every`."""
    records = []
    for knob in dict.fromkeys(setting.knob for setting in settings):
        own = [setting for setting in settings if setting.knob is knob]
        shown = [row for row in own if every or row.index is None or row.source != "default"]
        if len(shown) < len(own):  # the rest of an indexed knob, as one
            rest = next(row for row in own if row not in shown)
            records.append(_with_value(knob_record(knob), rest))
        records += [_with_value(knob_record(knob, row.index), row) for row in shown]
    return records


def _with_value(record: dict[str, Any], setting: KnobSetting) -> dict[str, Any]:
    return {
        **record,
        "value": setting.value,
        "source": setting.source,
        "refused": setting.refused,
        "learned": setting.learned,
        "pinned": setting.pinned,
    }


def _of_library(lib: str | None) -> list[dict[str, Any]]:
    from hakmem_tools.native.library import open_library

    return [knob_record(knob) for knob in open_library(lib).descriptors.knobs]


def _of_target(target: TargetSpec, effective: bool, every: bool) -> list[dict[str, Any]]:
    with open_target(target) as opened, opened_counters(opened) as source:
        if effective:
            records = effective_records(source.knobs(), every=every)
        else:
            records = [knob_record(knob) for knob in source.descriptors.knobs]
        return [{"pid": opened.pid, **record} for record in records]


def _text(records: list[dict[str, Any]], effective: bool) -> list[str]:
    if effective:
        rows = [(r["env"], str(r["value"]), _source(r), r["scope"], r["doc"]) for r in records]
        return table(("knob", "value", "from", "scope", "what it does"), rows)
    known = [
        (r["env"], str(r["default"]), _allowed(r), r["unit"] or "-", r["scope"], r["doc"])
        for r in records
    ]
    return table(("knob", "default", "allowed", "unit", "scope", "what it does"), known)


def _source(record: dict[str, Any]) -> str:
    notes = {"refused": " (the given value was refused)", "learned": " (by the learner)"}
    return "".join((str(record["source"]), *(notes[key] for key in notes if record[key])))


def _allowed(record: dict[str, Any]) -> str:
    if record["choices"]:
        return "|".join(record["choices"])
    return "0|1" if record["type"] == "bool" else f"{record['min']}..{record['max']}"
