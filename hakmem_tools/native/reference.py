"""Writes docs/reference/*.md from the library's own tables.

Run it as `python -m hakmem_tools.native.reference`. With --check it writes nothing and names the
pages that are out of date (exit code 1). The contract test compares the pages with the library
in the same way.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from hakmem_tools.model.descriptors import Counter, Descriptors, Knob, Probe
from hakmem_tools.native.header import LibraryNotFound
from hakmem_tools.native.library import open_library

REFERENCE_DIRECTORY = Path(__file__).resolve().parents[2] / "docs" / "reference"
_ORIGIN = "<!-- written by `python -m hakmem_tools.native.reference`; edit {table} instead -->"


def pages(descriptors: Descriptors) -> dict[str, str]:
    """File name -> text of every reference page."""
    return {
        "knobs.md": _knobs(descriptors),
        "probes.md": _probes(descriptors),
        "counters.md": _counters(descriptors),
    }


def stale_pages(descriptors: Descriptors, directory: Path) -> list[Path]:
    """The pages in `directory` that do not say what the descriptors say, or are not there."""
    return [
        directory / name
        for name, text in pages(descriptors).items()
        if not (directory / name).is_file() or (directory / name).read_text() != text
    ]


def _page(title: str, tables: str, *parts: Iterable[str]) -> str:
    lines = [_ORIGIN.format(table=tables), "", f"# {title}", ""]
    for part in parts:
        lines += [*part, ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [_row(headings), _row(["---"] * len(headings))]
    return lines + [_row([cell.replace("|", "\\|") for cell in row]) for row in rows]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _knobs(descriptors: Descriptors) -> str:
    rows = [_knob_row(knob) for knob in descriptors.knobs]
    modes = [
        (_code(row.mode), _code(row.knob), str(descriptors.knob(row.knob).present(row.value)))
        for row in descriptors.modes
    ]
    return _page(
        "Knobs",
        "lib/tables/knobs.def or modes.def",
        [
            "A knob is an environment variable that libhakmem reads when the program starts. A",
            "*live* knob can also be changed while it runs. `<n>` is the index of a size class.",
            "A value out of range is replaced by the nearest allowed one, with a line on stderr.",
        ],
        _table(("variable", "type", "unit", "default", "allowed", "scope", "what it does"), rows),
        ["## Older names"],
        _table(
            ("older name", "knob"),
            [
                (_code(alias), _code(knob.env))
                for knob in descriptors.knobs
                for alias in knob.aliases
            ],
        ),
        ["## Modes", "", "`HAKMEM_MODE` changes these defaults; a single knob overrides its mode."],
        _table(("mode", "knob", "value"), modes),
    )


def _knob_row(knob: Knob) -> tuple[str, ...]:
    return (
        _code(knob.env),
        knob.type,
        knob.unit,
        str(knob.present(knob.default)),
        knob.allowed.removesuffix(f" {knob.unit}") if knob.unit else knob.allowed,
        knob.scope,
        knob.doc,
    )


def _probes(descriptors: Descriptors) -> str:
    codes = [(row.group, str(row.value), _code(row.text), row.meaning) for row in descriptors.codes]
    return _page(
        "Probes",
        "lib/tables/probes.def or codes.def",
        [
            "Every USDT probe of libhakmem. An argument is 8 bytes; a site is a one-byte nop that",
            "costs about 0.7 microseconds a hit while somebody is attached, and nothing otherwise.",
        ],
        _table(
            ("probe", "arguments", "fires when"), [_probe_row(row) for row in descriptors.probes]
        ),
        ["## Codes", "", "The numbers that arguments carry, and their words."],
        _table(("group", "number", "word", "meaning"), codes),
    )


def _probe_row(probe: Probe) -> tuple[str, ...]:
    return (
        _code(f"{probe.provider}:{probe.name}"),
        ", ".join(_code(name) for name in probe.args),
        probe.doc,
    )


def _counters(descriptors: Descriptors) -> str:
    shapes = {
        "scalar": "## Of the process",
        "class": "## Of each size class",
    }
    parts: list[list[str]] = []
    for shape, heading in shapes.items():
        rows = [_counter_row(row) for row in descriptors.counters if row.shape == shape]
        parts += [[heading], _table(("counter", "unit", "kind", "what it counts"), rows)]
    return _page(
        "Counters",
        "lib/tables/counters.def",
        [
            "What the counters page holds. A *counter* only grows, a *gauge* goes up and down, and",
            "a *pair* is a counter that is kept as the sum of two words (see `hakmem_abi.h`).",
        ],
        *parts,
    )


def _counter_row(counter: Counter) -> tuple[str, ...]:
    return (_code(counter.name), counter.unit, counter.kind, counter.doc)


def main(arguments: Sequence[str]) -> int:
    """Writes the pages, or checks them with --check; 0, 1 (out of date) or 2 (usage)."""
    if list(arguments) not in ([], ["--check"]):
        print("usage: python -m hakmem_tools.native.reference [--check]", file=sys.stderr)
        return 2
    try:
        descriptors = open_library().descriptors
    except LibraryNotFound as error:
        print(f"reference: {error}", file=sys.stderr)
        return 2
    stale = stale_pages(descriptors, REFERENCE_DIRECTORY)
    if arguments:
        for path in stale:
            print(f"{path} is out of date; run it without --check", file=sys.stderr)
        return 1 if stale else 0
    REFERENCE_DIRECTORY.mkdir(parents=True, exist_ok=True)
    for path in stale:
        path.write_text(pages(descriptors)[path.name])
        print(f"wrote {path}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
