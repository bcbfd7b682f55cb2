"""Names for the frames of a profile: functions, files, lines, inlined calls, JIT names.

Used by the recorder before its target is gone, by the terminal UI, and by the commands that
read a recording. Asks, in this order: the cache, the debug information, the symbol tables, the
JIT's own map. What has no name anywhere stays module+offset; nothing is dropped.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from hakmem_tools.model.profile import Profile
from hakmem_tools.model.profile_records import NO_MODULE, CallFrame, Module, Symbols
from hakmem_tools.observe.debug_files import ModuleFiles, find_files
from hakmem_tools.observe.demangle import demangle, is_mangled
from hakmem_tools.observe.dwarf import DebugInfo, Place
from hakmem_tools.observe.perf_map import PerfMap, read_perf_map
from hakmem_tools.observe.symbol_cache import SymbolCache, default_directory
from hakmem_tools.observe.symbols import SymbolTable, file_symbols

Frames = tuple[CallFrame, ...]


class ModuleNames:
    """The names in one module's files; opens them when a name is not in the cache."""

    def __init__(self, module: Module, files: ModuleFiles, cache_directory: Path) -> None:
        self.module = module
        self.files = files
        self.cache: SymbolCache | None = None
        if files.build_id is not None and (files.module or files.debug):
            identity = "\n".join(_identity(path) for path in (files.module, files.debug))
            self.cache = SymbolCache(cache_directory, files.build_id, identity)
        self._opened = False
        self._tables: list[SymbolTable] = []
        self._debug: list[DebugInfo] = []
        self.damaged: tuple[str, ...] = ()

    def close(self) -> None:
        """Saves the cache and lets go of the files; may be called twice."""
        if self.cache is not None:
            self.cache.save()
        for debug in self._debug:
            debug.close()

    def frames(self, offset: int) -> Frames:
        """The frames at an offset in the module's file; names still mangled."""
        if self.cache is not None and offset in self.cache.places:
            return self.cache.places[offset]
        frames = self._find(offset)
        self.damaged = tuple(debug.damaged for debug in self._debug if debug.damaged)
        return frames

    def remember(self, offset: int, frames: Frames) -> None:
        """Puts finished frames into the cache."""
        if self.cache is not None and offset not in self.cache.places:
            self.cache.add(offset, frames)

    def _open(self) -> None:
        self._opened = True
        for path in (self.files.module, self.files.debug):
            if path is None:
                continue
            with suppress(OSError):
                self._debug.append(DebugInfo(path))
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
                try:
                    self._tables.append(file_symbols(descriptor))
                finally:
                    os.close(descriptor)

    def _find(self, offset: int) -> Frames:
        if not self._opened:
            self._open()
        # Offsets are of the module's own file: a debug file holds no code, and other offsets.
        address = self._tables[0].address_of(offset) if self._tables else offset
        symbol = next((s for table in self._tables if (s := table.find(address))), None)
        places: tuple[Place, ...] = ()
        for debug in self._debug:
            places = places or debug.places(address)
        name = symbol[0] if symbol else None
        if not places:
            return (self._frame(address, Place(name, None, None, False)),)
        return tuple(self._frame(address, _better_named(place, name)) for place in places)

    def _frame(self, address: int, place: Place) -> CallFrame:
        return CallFrame(
            self.module.path,
            address,
            place.function,
            place.file,
            place.line,
            place.inlined,
            self.files.note,
        )


def _better_named(place: Place, symbol: str | None) -> Place:
    """A function's own symbol says its namespace where the debug information does not."""
    if place.inlined or symbol is None:
        return place
    if place.function is None or (is_mangled(symbol) and not is_mangled(place.function)):
        return Place(symbol, place.file, place.line, False)
    return place


def _identity(path: str | None) -> str:
    """Changes whenever the file does."""
    if path is None:
        return ""
    try:
        status = os.stat(path)
    except OSError:
        return ""
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ino}"


class Symboliser:
    """Names for the places of some modules. Close it, or use it as a context manager."""

    def __init__(
        self,
        modules: Mapping[int, Module],
        *,
        pid: int | None = None,
        cache_directory: Path | None = None,
    ) -> None:
        """`pid` is the target while it runs, else None. `modules` may grow meanwhile."""
        self._modules = modules
        self._pid = pid
        self._cache_directory = cache_directory or default_directory()
        self._names: dict[int, ModuleNames] = {}
        self._jit: PerfMap | None = None

    def close(self) -> None:
        """Saves the cache; may be called twice."""
        for names in self._names.values():
            names.close()

    def __enter__(self) -> Symboliser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def damaged(self) -> tuple[str, ...]:
        """One sentence for each file whose debug information does not hold."""
        return tuple(text for names in self._names.values() for text in names.damaged)

    def resolve(self, places: Iterable[tuple[int, int]]) -> dict[tuple[int, int], Frames]:
        """The frames at each (module, offset), innermost first; at least one for each."""
        found = {place: self._frames(*place) for place in dict.fromkeys(places)}
        names = {frame.function for frames in found.values() for frame in frames}
        shown = demangle(name for name in names if name)
        done = {}
        for (module, offset), frames in found.items():
            named = tuple(_renamed(frame, shown) for frame in frames)
            done[module, offset] = named
            if module in self._names:
                self._names[module].remember(offset, named)
        return done

    def _frames(self, module_id: int, offset: int) -> Frames:
        module = self._modules.get(module_id)
        if module is None or module_id == NO_MODULE:
            return (CallFrame("", offset, self._jit_name(offset)),)
        if not module.path.startswith("/"):  # [vdso], [heap]: no file
            return (CallFrame(module.path, offset),)
        if module_id not in self._names:
            files = find_files(module, self._pid)
            self._names[module_id] = ModuleNames(module, files, self._cache_directory)
        return self._names[module_id].frames(offset)

    def _jit_name(self, address: int) -> str | None:
        if self._pid is None:
            return None
        name = self._jit.find(address) if self._jit is not None else None
        if name is None and self._jit is None:
            self._jit = read_perf_map(self._pid)
            name = self._jit.find(address)
        return name

    def refresh(self) -> None:
        """Lets a JIT's map be read again: it grows."""
        self._jit = None


def _renamed(frame: CallFrame, shown: Mapping[str, str]) -> CallFrame:
    if frame.function is None or shown.get(frame.function, frame.function) == frame.function:
        return frame
    return CallFrame(
        frame.module,
        frame.offset,
        shown[frame.function],
        frame.file,
        frame.line,
        frame.inlined,
        frame.note,
    )


def name_frames(
    profile: Profile,
    stacks: Iterable[int] | None = None,
    *,
    live: bool = False,
    cache_directory: Path | None = None,
) -> list[Symbols]:
    """Gives a profile's frames their names; those found now, to be embedded in a recording.

    Only places without embedded names are asked for, of the given stacks or of all. `live`:
    the recorded process is the one that now has its id.
    """

    def is_named(place: tuple[int, int]) -> bool:
        return any(frame.function for frame in profile.frames.get(place, ()))

    wanted: dict[tuple[int, int], None] = {}
    for stack_id in profile.stacks if stacks is None else stacks:
        stack = profile.stacks.get(stack_id)
        if stack is not None:
            wanted.update(dict.fromkeys(p for p in stack.places() if not is_named(p)))
    pid = profile.header.pid if live else None
    with Symboliser(profile.modules, pid=pid, cache_directory=cache_directory) as symboliser:
        found = symboliser.resolve(wanted)
    found = {
        place: frames
        for place, frames in found.items()
        if place not in profile.frames or any(frame.function for frame in frames)
    }
    profile.frames.update(found)
    return [Symbols(module, offset, frames) for (module, offset), frames in found.items()]
