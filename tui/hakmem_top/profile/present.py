"""From a Profile to rows: the tree of call sites, histograms, and how far both can be trusted.

Used by the profile screen's tables and panel. Pure: no Textual, no widths, no colours.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cached_property

import msgspec

from hakmem_tools.model.profile import Moment, NoSuchView, Profile
from hakmem_tools.model.profile_estimate import Amount, Estimate, difference
from hakmem_tools.model.profile_records import CAUSES, CallFrame
from hakmem_tools.model.profile_tree import Node, call_tree
from hakmem_tools.model.profile_views import (
    GROUPS,
    Grouping,
    asking_frames,
    place_text,
    rows,
    site_frames,
    total,
)

#: The views, in the order of the key, with what each one counts.
CUTS: Mapping[str, str] = {
    "live": "allocated and not yet freed",
    "cumulative": "allocated",
    "growth": "live now less live then",
    "leaks": "old and not yet freed",
    "temporary": "freed within a millisecond or so",
}
AXES = ("site", "thread", "class", "size", "lifetime")

#: Nodes that hold so much of the whole are unfolded until the user folds them.
UNFOLDED_SHARE = 0.2
#: Levels of callers that are unfolded by themselves: deeper ones are asked for.
UNFOLDED_DEPTH = 3

Path = tuple[Hashable, ...]


class TreeRow(msgspec.Struct, frozen=True):
    """One call site in the tree. `share` is of the whole view, `path` its key."""

    path: Path
    depth: int
    name: str
    where: str
    estimate: Estimate
    share: float
    branches: int
    unfolded: bool
    truncated: bool
    inlined: bool


class FlatRow(msgspec.Struct, frozen=True):
    """One thread, class, size or lifetime."""

    key: Hashable
    label: str
    estimate: Estimate
    share: float


class Branch:
    """A node of the tree, less the same node of an earlier tree when growth is looked at."""

    def __init__(self, frame: CallFrame | None, now: Node | None, then: Node | None) -> None:
        self.frame = frame
        self._now, self._then = now, then

    @property
    def value(self) -> float:
        """Estimated bytes."""
        now = self._now.amount.weighted if self._now is not None else 0.0
        return now - (self._then.amount.weighted if self._then is not None else 0.0)

    @cached_property
    def estimate(self) -> Estimate:
        """The same with its error."""
        now = self._now.amount if self._now is not None else Amount()
        return now.estimate() if self._then is None else difference(now, self._then.amount)

    @property
    def truncated(self) -> bool:
        """Whether some stack broke off right here."""
        return self._now is not None and self._now.truncated

    @cached_property
    def branches(self) -> list[tuple[Hashable, Branch]]:
        """Key and node of what is below, the largest first."""
        now = self._now.children if self._now is not None else {}
        then = self._then.children if self._then is not None else {}
        found = []
        for key in dict.fromkeys((*now, *then)):
            node, before = now.get(key), then.get(key)
            frame = (node or before).frame  # type: ignore[union-attr]
            branch = Branch(frame, node, before)
            if branch.value:
                found.append((key, branch))
        return sorted(found, key=lambda pair: (-abs(pair[1].value), str(pair[0])))

    @property
    def text(self) -> str:
        """All that a search looks at."""
        return f"{place_text(self.frame)} {self.frame.module}".lower() if self.frame else ""


def tree(profile: Profile, cut: str, during: Moment, *, inverted: bool, query: str = "") -> Branch:
    """The tree of a view; `query` keeps stacks in which every word occurs. Raises NoSuchView."""
    kept = _kept(profile, query)

    def grown(view: str, part: Moment) -> Node:
        amounts = profile.group(view, lambda key: key.stack, part)
        chosen = {stack: amount for stack, amount in amounts.items() if kept(stack)}
        return call_tree(profile, chosen, inverted=inverted)

    if cut == "growth":
        return Branch(None, grown("live", during.up_to_end), grown("live", during.before))
    return Branch(None, grown(cut, during), None)


def _kept(profile: Profile, query: str) -> Callable[[int], bool]:
    words = query.lower().split()

    def keep(stack: int) -> bool:
        text = " ".join(
            f"{place_text(frame)} {frame.module}" for frame in profile.stack_frames(stack)
        ).lower()
        return all(word in text for word in words)

    return keep


def tree_rows(root: Branch, unfolded: Mapping[Path, bool]) -> list[TreeRow]:
    """The rows that can be seen; `unfolded` is what the user chose, row by row."""
    whole = sum(abs(branch.value) for _, branch in root.branches) or 1.0
    found: list[TreeRow] = []

    def add(branch: Branch, path: Path, depth: int) -> None:
        share = abs(branch.value) / whole
        by_itself = share >= UNFOLDED_SHARE and depth < UNFOLDED_DEPTH
        is_open = bool(branch.branches) and unfolded.get(path, by_itself)
        frame = branch.frame
        assert frame is not None
        found.append(
            TreeRow(
                path, depth, frame.name, where(frame), branch.estimate, share,
                len(branch.branches), is_open, branch.truncated, frame.inlined,
            )
        )  # fmt: skip
        if is_open:
            for key, child in branch.branches:
                add(child, (*path, key), depth + 1)

    for key, branch in root.branches:
        add(branch, (key,), 0)
    return found


def where(frame: CallFrame) -> str:
    """file:line, or the module when there is no file."""
    if frame.file:
        return f"{frame.file.rpartition('/')[2]}:{frame.line or '?'}"
    return frame.module.rpartition("/")[2]


def matches(root: Branch, query: str, limit: int = 200) -> list[Path]:
    """The paths of all nodes that hold every word, folded ones too, in the tree's order."""
    words = query.lower().split()
    found: list[Path] = []
    stack: list[tuple[Path, Branch]] = [((key,), b) for key, b in reversed(root.branches)]
    while stack and words and len(found) < limit:
        path, branch = stack.pop()
        if all(word in branch.text for word in words):
            found.append(path)
        stack.extend(((*path, key), child) for key, child in reversed(branch.branches))
    return found


def flat_rows(profile: Profile, cut: str, axis: str, during: Moment) -> list[FlatRow]:
    """The rows of a view by thread, class, size or lifetime. Raises NoSuchView."""
    if axis == "lifetime":
        return _lifetimes(profile, during)
    assert axis in GROUPS
    return [
        FlatRow(row.group, row.label, row.estimate, row.share)
        for row in rows(profile, cut, axis, during)
    ]


def _lifetimes(profile: Profile, during: Moment) -> list[FlatRow]:
    """How long freed blocks had lived, in steps of two."""
    found = profile.lifetimes(during)
    whole = sum(amount.weighted for amount in found.values()) or 1.0
    return [
        FlatRow(age, f"{_span(2**age)} to {_span(2 ** (age + 1))}", amount.estimate(),
                amount.weighted / whole)
        for age, amount in found.items()
    ]  # fmt: skip


def _span(nanoseconds: float) -> str:
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3g} {unit}"
    return f"{nanoseconds:.0f} ns"


def whole(profile: Profile, cut: str, axis: str, during: Moment) -> Estimate | None:
    """The view's bytes; None where it has nothing to say."""
    try:
        return total(profile, "freed" if axis == "lifetime" else cut, during)
    except NoSuchView:
        return None


class Cause(msgspec.Struct, frozen=True):
    """What a site made the kernel do; `duration_ns` is 0 where nobody measures."""

    name: str
    count: int
    size_bytes: int
    duration_ns: int


class Detail(msgspec.Struct, frozen=True):
    """One call site in full: its frames, every view, and how the allocator served it.

    `frames` are those of its largest stack; the first `shared` are of all its stacks.
    """

    frames: tuple[CallFrame, ...]
    shared: int
    cuts: tuple[tuple[str, Estimate | None], ...]
    served: tuple[FlatRow, ...]
    sizes: tuple[FlatRow, ...]
    threads: tuple[FlatRow, ...]
    caused: tuple[Cause, ...]
    stacks: int


def detail(profile: Profile, path: Sequence[Hashable], during: Moment, inverted: bool) -> Detail:
    """All that is known of the stacks below a node of the tree."""
    below = _below(profile, path, inverted)
    stacks = set(below)

    def of(view: str) -> dict[int, Amount]:
        amounts = profile.amounts(view, during)
        return {key: a for key, a in amounts.items() if profile.keys[key].stack in stacks}

    def summed(view: str) -> Estimate | None:
        try:
            return sum(of(view).values(), Amount()).estimate()
        except NoSuchView:
            return None

    def grouped(by: str) -> tuple[FlatRow, ...]:
        grouping = Grouping(profile, by)
        found = profile.group_amounts(of("cumulative"), grouping)
        all_of = sum(amount.weighted for amount in found.values()) or 1.0
        made = [
            FlatRow(group, grouping.label(group), amount.estimate(), amount.weighted / all_of)
            for group, amount in found.items()
        ]
        return tuple(sorted(made, key=lambda row: -row.estimate.value))

    causes: dict[int, list[int]] = {}
    for row in profile.caused(during):
        if row.stack in stacks:
            sums = causes.setdefault(row.cause, [0, 0, 0])
            sums[0] += row.count
            sums[1] += row.size_bytes
            sums[2] += row.duration_ns
    frames = below[_largest(profile, during, below)] if below else ()
    library = len(frames) - len(site_frames(frames)) if inverted else 0
    return Detail(
        frames=frames,
        shared=library + len(path),
        cuts=tuple((view, summed(view)) for view in ("live", "cumulative", "temporary", "leaks")),
        served=grouped("class"),
        sizes=grouped("size"),
        threads=grouped("thread"),
        caused=tuple(Cause(CAUSES.get(c, f"cause {c}"), *sums) for c, sums in causes.items()),
        stacks=len(stacks),
    )


def _largest(profile: Profile, during: Moment, stacks: Mapping[int, object]) -> int:
    """The stack that allocated most."""
    amounts = profile.group("cumulative", lambda key: key.stack, during)
    return max(stacks, key=lambda stack: amounts.get(stack, Amount()).weighted)


def _below(
    profile: Profile, path: Sequence[Hashable], inverted: bool
) -> dict[int, tuple[CallFrame, ...]]:
    """The stacks below a node, with all their frames in the tree's order."""
    found: dict[int, tuple[CallFrame, ...]] = {}
    for stack in {key.stack for key in profile.keys.values()}:
        asked = asking_frames(profile.stack_frames(stack))
        steps = [(frame.name, frame.file, frame.line) for frame in site_frames(asked)]
        if (steps if inverted else steps[::-1])[: len(path)] == list(path):
            found[stack] = asked if inverted else asked[::-1]
    return found
