"""JSON lines, the same as `hakmem report --json`: every view's figures for every stack."""

from __future__ import annotations

import msgspec

from hakmem_tools.model.profile import Moment, Profile
from hakmem_tools.model.profile_lines import stack_records, summary_record
from hakmem_tools.model.snapshot import SCHEMA_VERSION


def export(profile: Profile, _view: str, during: Moment) -> bytes:
    """A line for each stack, then the summary. Raises NoSuchView."""
    records = [*stack_records(profile, during), summary_record(profile, during)]
    encoder = msgspec.json.Encoder()
    return b"".join(
        encoder.encode({"schema_version": SCHEMA_VERSION, **record}) + b"\n" for record in records
    )
