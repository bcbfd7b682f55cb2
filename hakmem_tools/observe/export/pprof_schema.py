"""The messages of a pprof file, described to protobuf when they are needed.

Field names and numbers are those of pprof's public profile.proto (package
perftools.profiles); no generated code has to match the installed protobuf that way.
"""

from __future__ import annotations

from functools import cache
from typing import Any

_INT64, _UINT64, _BOOL, _STRING, _MESSAGE = 3, 4, 8, 9, 11
_OPTIONAL, _REPEATED = 1, 3
_PACKAGE = "perftools.profiles"

#: Message -> (name, number, type or message, repeated).
MESSAGES: dict[str, tuple[tuple[str, int, int | str, bool], ...]] = {
    "Profile": (
        ("sample_type", 1, "ValueType", True),
        ("sample", 2, "Sample", True),
        ("mapping", 3, "Mapping", True),
        ("location", 4, "Location", True),
        ("function", 5, "Function", True),
        ("string_table", 6, _STRING, True),
        ("time_nanos", 9, _INT64, False),
        ("duration_nanos", 10, _INT64, False),
        ("period_type", 11, "ValueType", False),
        ("period", 12, _INT64, False),
        ("comment", 13, _INT64, True),
        ("default_sample_type", 14, _INT64, False),
    ),
    "ValueType": (("type", 1, _INT64, False), ("unit", 2, _INT64, False)),
    "Sample": (
        ("location_id", 1, _UINT64, True),
        ("value", 2, _INT64, True),
        ("label", 3, "Label", True),
    ),
    "Label": (
        ("key", 1, _INT64, False),
        ("str", 2, _INT64, False),
        ("num", 3, _INT64, False),
        ("num_unit", 4, _INT64, False),
    ),
    "Mapping": (
        ("id", 1, _UINT64, False),
        ("memory_start", 2, _UINT64, False),
        ("memory_limit", 3, _UINT64, False),
        ("file_offset", 4, _UINT64, False),
        ("filename", 5, _INT64, False),
        ("build_id", 6, _INT64, False),
        ("has_functions", 7, _BOOL, False),
        ("has_filenames", 8, _BOOL, False),
        ("has_line_numbers", 9, _BOOL, False),
        ("has_inline_frames", 10, _BOOL, False),
    ),
    "Location": (
        ("id", 1, _UINT64, False),
        ("mapping_id", 2, _UINT64, False),
        ("address", 3, _UINT64, False),
        ("line", 4, "Line", True),
    ),
    "Line": (("function_id", 1, _UINT64, False), ("line", 2, _INT64, False)),
    "Function": (
        ("id", 1, _UINT64, False),
        ("name", 2, _INT64, False),
        ("system_name", 3, _INT64, False),
        ("filename", 4, _INT64, False),
        ("start_line", 5, _INT64, False),
    ),
}


@cache
def profile_class() -> Any:
    """The class of the Profile message. Raises ImportError without protobuf."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(
        name="hakmem/profile.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field_name, field_number, kind, repeated in fields:
            field = message.field.add(
                name=field_name,
                number=field_number,
                label=_REPEATED if repeated else _OPTIONAL,
                type=kind if isinstance(kind, int) else _MESSAGE,
            )
            if isinstance(kind, str):
                field.type_name = f".{_PACKAGE}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Profile"))
