"""Call trees of a profile: from the program's entry inwards, or from the allocation outwards.

Used by the terminal UI's drill-down. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from hakmem_tools.model.profile import Profile
from hakmem_tools.model.profile_estimate import Amount
from hakmem_tools.model.profile_records import CallFrame
from hakmem_tools.model.profile_views import site_frames


class Node:
    """One frame in a tree. `amount` is of everything below it, `own` of what ends right here."""

    __slots__ = ("amount", "children", "frame", "own", "truncated")

    def __init__(self, frame: CallFrame | None) -> None:
        self.frame = frame  # None: the root
        self.amount = Amount()
        self.own = Amount()
        self.truncated = False
        self.children: dict[tuple[str, str | None, int | None], Node] = {}

    @property
    def name(self) -> str:
        """The frame's name; "all" for the root."""
        return self.frame.name if self.frame else "all"

    def ranked(self) -> list[Node]:
        """The children, the largest first."""
        return sorted(self.children.values(), key=lambda node: (-node.amount.weighted, node.name))

    def walk(self) -> Iterator[tuple[int, Node]]:
        """(depth, node) of all nodes below, the largest first."""
        stack = [(0, child) for child in reversed(self.ranked())]
        while stack:
            depth, node = stack.pop()
            yield depth, node
            stack.extend((depth + 1, child) for child in reversed(node.ranked()))


def call_tree(
    profile: Profile,
    amounts: Mapping[int, Amount],
    *,
    inverted: bool = False,
    by_line: bool = True,
    hide_allocator: bool = True,
) -> Node:
    """The tree of some stacks' amounts (stack id -> Amount), as amounts_by_stack() gives them.

    `inverted`: the allocating function is at the root's side. `by_line`: two lines of one
    function are two nodes. `hide_allocator`: a stack ends at its site, so that what a standard
    library does for its caller is the caller's.
    """
    root = Node(None)
    for stack_id, amount in amounts.items():
        frames = profile.stack_frames(stack_id)
        if hide_allocator:
            frames = site_frames(frames)
        stack = profile.stacks.get(stack_id)
        truncated = stack is None or stack.truncated
        _add(root, frames if inverted else reversed(frames), amount, truncated, by_line)
    return root


def _add(
    root: Node, frames: Iterable[CallFrame], amount: Amount, truncated: bool, by_line: bool
) -> None:
    node = root
    node.amount += amount
    for frame in frames:
        key = (frame.name, frame.file, frame.line if by_line else None)
        child = node.children.get(key)
        if child is None:
            child = node.children[key] = Node(frame)
        node = child
        node.amount += amount
    node.own += amount
    node.truncated = node.truncated or truncated
