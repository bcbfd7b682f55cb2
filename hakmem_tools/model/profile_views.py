"""What a person asks a profile: which sites hold memory, grow, leak, churn; and how sure that is.

Used by report, diff and export, and by the terminal UI. Pure: gives rows of estimates, ranked;
says nothing of how they are printed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping

import msgspec

from hakmem_tools.model.profile import WHOLE, Moment, NoSuchView, Profile
from hakmem_tools.model.profile_estimate import Amount, Estimate
from hakmem_tools.model.profile_records import CallFrame, Key, bucket_start

#: What rows may be grouped by, and how that is said.
GROUPS = {
    "stack": "the whole call stack",
    "site": "the function, file and line that asked the allocator",
    "function": "the function that asked the allocator",
    "module": "the program or library that asked",
    "thread": "the thread",
    "class": "the allocator's size class, by the path that served",
    "size": "the size, four steps to a doubling",
}
#: Those that a stack alone decides: what it made the kernel do is known of them.
STACK_GROUPS = ("stack", "site", "function", "module")
_ALLOCATORS = ("libhakmem", "libjemalloc", "libmimalloc", "libtcmalloc")
_ALLOCATING = frozenset(
    (
        *("malloc", "calloc", "realloc", "reallocarray", "memalign", "aligned_alloc", "valloc"),
        *("posix_memalign", "pvalloc", "operator new", "operator new[]", "strdup", "strndup"),
        # Wrappers that whole programs call in malloc's place: what matters is who called them.
        *("zmalloc", "zcalloc", "zrealloc", "ztrymalloc", "ztrycalloc", "ztryrealloc", "zstrdup"),
        *("zmalloc_usable", "zcalloc_usable", "zrealloc_usable", "ztrymalloc_usable"),
        *("xmalloc", "xcalloc", "xrealloc", "xstrdup", "g_malloc", "g_malloc0", "g_realloc"),
        *("PyMem_RawMalloc", "PyMem_Malloc", "PyObject_Malloc", "_PyMem_RawMalloc"),
        *("__rust_alloc", "__rust_realloc", "__rust_alloc_zeroed", "__libc_malloc", "_int_malloc"),
    )
)
_PLUMBING = ("std::", "__gnu_cxx::", "alloc::", "core::", "__rustc", "<alloc::", "<core::", "__rdl")


class Row(msgspec.Struct, frozen=True):
    """One line of a view. `frames` are given where the group is a stack or a site."""

    label: str
    estimate: Estimate
    share: float  # of the view's total, 0..1; of all change for growth
    frames: tuple[CallFrame, ...] = ()
    truncated: bool = False
    group: Hashable = None


def is_allocator(frame: CallFrame) -> bool:
    """Whether a frame belongs to the allocator or to its entrance, not to who asked."""
    name = frame.module.rpartition("/")[2]
    if name.startswith(_ALLOCATORS):
        return True
    return frame.function is not None and frame.function.partition("(")[0] in _ALLOCATING


def asking_frames(frames: tuple[CallFrame, ...]) -> tuple[CallFrame, ...]:
    """The frames from the one that asked the allocator on; all where none did."""
    for index, frame in enumerate(frames):
        if not is_allocator(frame):
            return frames[index:]
    return frames


def site_frames(frames: tuple[CallFrame, ...]) -> tuple[CallFrame, ...]:
    """The frames from the first outside of allocator and standard library on."""
    asking = asking_frames(frames)
    for index, frame in enumerate(asking):
        if not (frame.function or "").startswith(_PLUMBING):
            return asking[index:]
    return asking


def site_frame(frames: tuple[CallFrame, ...]) -> CallFrame | None:
    """The frame to name an allocation by; None for a stack without frames."""
    return next(iter(site_frames(frames)), None)


def place_text(frame: CallFrame) -> str:
    """name at file:line, or name (module), with what is wrong with the module."""
    module = frame.module.rpartition("/")[2]
    where = f" at {frame.file}:{frame.line or '?'}" if frame.file else ""
    if not where and frame.function and module:
        where = f" ({module})"
    note = f" [{frame.note}]" if frame.note else ""
    return f"{frame.name}{where}{' (inlined)' if frame.inlined else ''}{note}"


class Grouping:
    """Says to which group a key belongs, and how that group is called."""

    def __init__(self, profile: Profile, by: str) -> None:
        """Raises NoSuchView for anything but GROUPS."""
        if by not in GROUPS:
            raise NoSuchView(f"no grouping {by!r}; there are {', '.join(GROUPS)}")
        self._profile = profile
        self._by = by
        self._of_stack: dict[int, Hashable] = {}

    def __call__(self, key: Key) -> Hashable:
        match self._by:
            case "stack":
                return key.stack
            case "thread":
                return key.tid
            case "class":
                return key.size_class, key.path
            case "size":
                return key.bucket
        return self.of_stack(key.stack)

    def of_stack(self, stack: int) -> Hashable:
        """The same by the stack alone; of use where `by` is one of STACK_GROUPS."""
        if self._by == "stack":
            return stack
        if stack not in self._of_stack:
            self._of_stack[stack] = self._site(stack)
        return self._of_stack[stack]

    def _site(self, stack: int) -> Hashable:
        frame = site_frame(self._profile.stack_frames(stack))
        if frame is None:
            return ""
        if self._by == "function":
            return frame.name
        return frame.module if self._by == "module" else place_text(frame)

    def label(self, group: Hashable) -> str:
        """What a group is called."""
        header = self._profile.header
        if self._by == "stack":
            frame = site_frame(self.frames(group))
            return place_text(frame) if frame else "(no stack)"
        if self._by == "thread":
            name = self._profile.threads.get(group) if isinstance(group, int) else None
            return f"{name} ({group})" if name else f"thread {group}"
        if self._by == "class":
            assert isinstance(group, tuple)
            size_class, path = group
            size = header.classes.get(size_class)
            shown = "no class" if size_class is None else f"class {size_class}"
            word = "path unknown" if path is None else header.paths.get(path, f"path {path}")
            return f"{shown}{f' ({size} B)' if size else ''}, {word}"
        if self._by == "size":
            assert isinstance(group, int)
            return f"{bucket_start(group)} .. {bucket_start(group + 1) - 1} B"
        return str(group) or "(no stack)"

    def frames(self, group: Hashable) -> tuple[CallFrame, ...]:
        """The frames of a group that is a stack; none otherwise."""
        if self._by == "stack" and isinstance(group, int):
            return self._profile.stack_frames(group)
        return ()


def rows(profile: Profile, view: str, by: str = "stack", during: Moment = WHOLE) -> list[Row]:
    """The rows of a view, the largest first (growth: the largest change). Raises NoSuchView."""
    grouping = Grouping(profile, by)
    estimates: Mapping[Hashable, Estimate]
    if view == "growth":
        estimates = profile.growth(grouping, during)
    else:
        grouped = profile.group(view, grouping, during)
        estimates = {group: amount.estimate() for group, amount in grouped.items()}
    total = sum(abs(estimate.value) for estimate in estimates.values())

    def row(group: Hashable, estimate: Estimate) -> Row:
        stack = profile.stacks.get(group) if by == "stack" and isinstance(group, int) else None
        return Row(
            grouping.label(group),
            estimate,
            abs(estimate.value) / total if total else 0.0,
            grouping.frames(group),
            stack is not None and stack.truncated,
            group,
        )

    made = [row(group, estimate) for group, estimate in estimates.items() if estimate.value]
    if by == "size":
        return sorted(made, key=lambda r: r.group if isinstance(r.group, int) else 0)
    return sorted(made, key=lambda r: (-abs(r.estimate.value), r.label))


def total(profile: Profile, view: str, during: Moment = WHOLE) -> Estimate:
    """A whole view's bytes. Raises NoSuchView."""
    if view == "growth":
        return profile.growth(lambda _: 0, during).get(0) or Amount().estimate()
    return profile.group(view, lambda _: 0, during).get(0, Amount()).estimate()


def amounts_by_stack(
    profile: Profile, views: Iterable[str], during: Moment = WHOLE
) -> dict[str, dict[int, Amount]]:
    """View -> stack -> Amount, for those of the views that the profile can tell."""
    found = {}
    by: Callable[[Key], int] = lambda key: key.stack  # noqa: E731
    for view in views:
        try:
            found[view] = profile.group(view, by, during)
        except NoSuchView:
            continue
    return found
