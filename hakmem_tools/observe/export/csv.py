"""CSV: a row for each stack, its frames in one cell, innermost first."""

from __future__ import annotations

import csv
import io

from hakmem_tools.model.plain_text import plain
from hakmem_tools.model.profile import Moment, Profile
from hakmem_tools.model.profile_lines import stack_records
from hakmem_tools.model.profile_records import CallFrame
from hakmem_tools.model.profile_views import place_text, site_frame

_FIGURES = ("live", "total", "freed", "temporary", "leak")
#: A cell that begins with one of these is run as a formula by spreadsheets.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def export(profile: Profile, _view: str, during: Moment) -> bytes:
    """Every stack's figures with their limits; an empty cell is a figure that is missing.

    The last rows are of samples that were lost, which belong to no stack.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    limits = [f"{name}_bytes{part}" for name in _FIGURES for part in ("", "_low", "_high")]
    writer.writerow(["site", *limits, "samples", "total_blocks", "truncated", "stack"])
    for record in stack_records(profile, during):
        frames = tuple(
            CallFrame(**{**frame, "module": frame["module"] or "", "note": frame["note"] or ""})
            for frame in record["frames"]
        )
        site = site_frame(frames)
        figures: list[object] = []
        for name in _FIGURES:
            low_high = record[f"{name}_bytes_interval"] or ("", "")
            value = record[f"{name}_bytes"]
            figures += ["" if value is None else value, *low_high]
        writer.writerow(
            [
                _cell(place_text(site) if site else "(no stack)"),
                *figures,
                record["samples"],
                record["total_blocks"],
                int(record["truncated"]),
                _cell(" <- ".join(place_text(frame) for frame in frames)),
            ]
        )
    for reason, count in profile.lost.items():
        figures = [""] * len(limits)
        writer.writerow([_cell(f"(lost: {reason})"), *figures, count, "", "", ""])
    return out.getvalue().encode()


def _cell(text: str) -> str:
    shown = plain(text)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown
