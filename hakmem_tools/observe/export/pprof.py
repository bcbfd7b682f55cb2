"""pprof's file: four sample types (alloc and inuse, objects and space), gzipped protobuf.

Values are estimates, as in every heap profile that is sampled. The allocator's class, the path
that served and the thread are labels of each sample.
"""

from __future__ import annotations

import gzip
from typing import Any

from hakmem_tools.model.profile import Moment, Profile
from hakmem_tools.model.profile_estimate import Amount
from hakmem_tools.model.profile_records import NO_MODULE, CallFrame, Key, bucket_start
from hakmem_tools.model.profile_trust import quality, truncation_advice, trust_text

SAMPLE_TYPES = (
    ("alloc_objects", "count"),
    ("alloc_space", "bytes"),
    ("inuse_objects", "count"),
    ("inuse_space", "bytes"),
)


class NoProtobuf(Exception):
    """The protobuf library is not installed; the message says how to install it."""


def export(profile: Profile, _view: str, during: Moment) -> bytes:
    """The whole profile; pprof chooses among the sample types. Raises NoProtobuf."""
    try:
        from hakmem_tools.observe.export.pprof_schema import profile_class

        message = profile_class()()
    except ImportError:
        raise NoProtobuf(
            "--format pprof needs protobuf, which is not installed; pip install 'hakmem[export]'"
        ) from None
    _Builder(profile, message).fill(during)
    return gzip.compress(message.SerializeToString(), 6, mtime=0)


class _Builder:
    """Fills the message; strings, functions and locations are written once each."""

    def __init__(self, profile: Profile, message: Any) -> None:
        self._profile = profile
        self._message = message
        self._strings: dict[str, int] = {}
        self._functions: dict[tuple[str, str], int] = {}
        self._locations: dict[tuple[int, int], int] = {}
        self._mappings: dict[int, Any] = {}
        self._string("")

    def fill(self, during: Moment) -> None:
        """Everything, in the order in which readers expect it."""
        message, header = self._message, self._profile.header
        for name, unit in SAMPLE_TYPES:
            message.sample_type.add(type=self._string(name), unit=self._string(unit))
        message.period_type.type, message.period_type.unit = (
            self._string("space"),
            self._string("bytes"),
        )
        message.period = header.sample_bytes
        message.default_sample_type = self._string("inuse_space")
        message.time_nanos = header.wall_ns
        message.duration_nanos = max(0, self._profile.end_ns - self._profile.start_ns)
        # The main program comes first, by which readers name the profile.
        modules = self._profile.modules.values()
        for module in sorted(modules, key=lambda module: module.path != header.exe):
            self._mapping(module.id)
        allocated = self._profile.group("cumulative", _by, during)
        live = self._profile.group("live", _by, during)
        for group in dict.fromkeys([*allocated, *live]):
            self._sample(group, allocated.get(group, Amount()), live.get(group, Amount()))
        for sentence in self._profile.missing:
            message.comment.append(self._string(sentence))
        about = quality(self._profile, "cumulative", during)
        for sentence in (*truncation_advice(self._profile, about), trust_text(about)):
            message.comment.append(self._string(sentence))
        message.string_table.extend(self._strings)

    def _sample(self, group: tuple[Any, ...], allocated: Amount, live: Amount) -> None:
        stack_id, tid, size_class, path, bucket = group
        stack = self._profile.stacks.get(stack_id)
        sample = self._message.sample.add()
        if stack is not None:
            sample.location_id.extend(self._location(*place) for place in stack.places())
        if stack is None or stack.truncated:
            sample.location_id.append(self._named_location("[truncated]"))
        sample.value.extend(
            round(value)
            for value in (allocated.objects, allocated.weighted, live.objects, live.weighted)
        )
        unit = self._string("bytes")
        sample.label.add(key=self._string("bytes"), num=bucket_start(bucket), num_unit=unit)
        sample.label.add(key=self._string("thread"), str=self._string(self._thread(tid)))
        if size_class is not None:
            sample.label.add(key=self._string("class"), str=self._string(str(size_class)))
        if path is not None:
            word = self._profile.header.paths.get(path, str(path))
            sample.label.add(key=self._string("path"), str=self._string(word))

    def _thread(self, tid: int) -> str:
        name = self._profile.threads.get(tid)
        return f"{name} ({tid})" if name else str(tid)

    def _location(self, module: int, offset: int) -> int:
        place = (module, offset)
        if place not in self._locations:
            frames = self._profile.frames.get(place) or (self._bare(module, offset),)
            location = self._message.location.add(
                id=len(self._locations) + 1, mapping_id=self._mapping(module), address=offset
            )
            self._locations[place] = location.id
            for frame in frames:
                # Without a symbol, module+offset: pprof itself would show the module alone.
                function = self._function(frame.name, frame.file or "")
                location.line.add(function_id=function, line=frame.line or 0)
                self._mark(module, frame)
        return self._locations[place]

    def _bare(self, module_id: int, offset: int) -> CallFrame:
        module = self._profile.modules.get(module_id)
        return CallFrame(module.path if module else "", offset)

    def _named_location(self, name: str) -> int:
        place = (-1, 0)
        if place not in self._locations:
            location = self._message.location.add(id=len(self._locations) + 1)
            location.line.add(function_id=self._function(name, ""))
            self._locations[place] = location.id
        return self._locations[place]

    def _mapping(self, module_id: int) -> int:
        module = self._profile.modules.get(module_id)
        if module is None or module_id == NO_MODULE:
            return 0
        if module_id not in self._mappings:
            # Addresses are offsets in the file: the mapping begins at 0 and holds them all.
            self._mappings[module_id] = self._message.mapping.add(
                id=len(self._mappings) + 1,
                memory_limit=(1 << 63) - 1,
                filename=self._string(module.path),
                build_id=self._string(module.build_id or ""),
            )
        mapping_id: int = self._mappings[module_id].id
        return mapping_id

    def _mark(self, module_id: int, frame: CallFrame) -> None:
        """Says that a mapping has names, so that no reader takes our offsets for addresses."""
        mapping = self._mappings.get(module_id)
        if mapping is not None:
            mapping.has_functions = True
            mapping.has_filenames = mapping.has_filenames or frame.file is not None
            mapping.has_line_numbers = mapping.has_line_numbers or frame.line is not None
            mapping.has_inline_frames = mapping.has_inline_frames or frame.inlined

    def _function(self, name: str, file: str) -> int:
        if (name, file) not in self._functions:
            number = self._functions[name, file] = len(self._functions) + 1
            self._message.function.add(
                id=number,
                name=self._string(name),
                system_name=self._string(name),
                filename=self._string(file),
            )
        return self._functions[name, file]

    def _string(self, text: str) -> int:
        clean = text.encode("utf-8", "replace").decode()
        return self._strings.setdefault(clean, len(self._strings))


def _by(key: Key) -> tuple[int, int, int | None, int | None, int]:
    return key.stack, key.tid, key.size_class, key.path, key.bucket
