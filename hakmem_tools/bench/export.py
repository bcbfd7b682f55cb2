"""Writes the document of a benchmark: JSON lines on stdout, JSON and CSV files.

The JSON file holds every run beside the figures; the CSV file is the runs alone, for other tools.
Nothing is computed here.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from hakmem_tools.bench.callgrind import InstructionCount
from hakmem_tools.bench.measure import Run
from hakmem_tools.bench.results import Document
from hakmem_tools.model.snapshot import SCHEMA_VERSION

FORMATS = (".json", ".csv")


def json_lines(document: Document) -> Iterator[bytes]:
    """The document as JSON lines: one for the machine, the A/A stage, each row, and the summary."""
    encode = msgspec.json.encode
    head = {"schema_version": document.schema_version}
    whole = msgspec.structs.asdict(document)
    about = ("quick", "rounds", "machine", "peers", "missing_peers")
    yield encode({**head, "record": "machine", **{key: whole[key] for key in about}})
    if document.aa is not None:
        yield encode({**head, "record": "aa", **msgspec.structs.asdict(document.aa)})
    for row in document.rows:
        yield encode({**head, "record": "row", **msgspec.structs.asdict(row)})
    told = ("points_scenarios", "points_all", "ours", "rounds_done", "failed_runs",
            "load_average_after")  # fmt: skip
    yield encode({**head, "record": "summary", **{key: whole[key] for key in told}})


def count_lines(counts: Sequence[InstructionCount]) -> Iterator[bytes]:
    """One JSON line for each count of instructions."""
    for count in counts:
        fields = msgspec.structs.asdict(count)
        yield msgspec.json.encode(
            {"schema_version": SCHEMA_VERSION, "record": "instructions", **fields}
        )


def csv_text(runs: Sequence[Run]) -> str:
    """Every run as a line of CSV; what a failed run does not have is left empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    fields = Run.__struct_fields__
    writer.writerow(fields)
    for run in runs:
        values = (getattr(run, field) for field in fields)
        writer.writerow(["" if value is None else value for value in values])
    return text.getvalue()


def write_results(document: Document, path: Path) -> None:
    """Write the document in the format of the file's suffix; the old file stays until it is whole.

    Raises OSError.
    """
    if path.suffix == ".csv":
        data = csv_text(document.runs).encode()
    else:
        data = msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_bytes(data)
    os.replace(unfinished, path)
