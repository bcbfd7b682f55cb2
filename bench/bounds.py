"""What a row's memory can come to: its requests, played through other ways of placing them.

    .venv/bin/python bench/bounds.py

Rows of `hakmem bench` that keep more memory than glibc, or once did. For each, this plays the very
requests of the workload (its generator, its seeds) and adds up what a way of placing blocks would
touch. docs/decisions/003 uses the figures. No allocator runs here, and nothing is timed.
"""

from __future__ import annotations

from collections import Counter

PAGE = 4096
UNIT = 64 << 10
MIB = 1 << 20
WORD = (1 << 64) - 1


class Random:
    """The workloads' generator: xorshift64*, seeded by the thread's number (workload.h)."""

    def __init__(self, stream: int) -> None:
        state = (stream + 1) * 0x9E3779B97F4A7C15 & WORD
        self._state = state ^ (state >> 29)

    def below(self, bound: int) -> int:
        state = self._state
        state ^= state >> 12
        state = (state ^ (state << 25)) & WORD
        state ^= state >> 27
        self._state = state
        return ((state * 0x2545F4914F6CDD1D & WORD) >> 32) * bound >> 32

    def between(self, least: int, most: int) -> int:
        return least + self.below(most - least + 1)


def class_of(size: int) -> int:
    """Stride in bytes: 16 apart up to 64, then four to a doubling (the `fine` geometry)."""
    if size <= 64:
        return -(-size // 16) * 16
    step = 1 << ((size - 1).bit_length() - 3)
    return -(-size // step) * step


def pages_of(first: int, size: int) -> range:
    """Pages of the block's ends and of what lies between."""
    return range(first // PAGE, (first + size - 1) // PAGE + 1)


# ---- large_mt: first and last pages, blocks placed by their class --------------------------------


def large_mt(steps: int = 200_000) -> dict[str, float]:
    """MiB: pages that are ever touched, and addresses, with a list of free spans per class."""
    threads = [Random(0), Random(1)]
    slots: list[list[tuple[int, int] | None]] = [[None] * 32 for _ in threads]
    free: dict[int, list[int]] = {}
    touched: set[int] = set()
    end = 0
    for step in range(steps):
        random, table = threads[step % 2], slots[step % 2]
        at = random.below(len(table))
        if (held := table[at]) is not None:
            free.setdefault(held[1], []).append(held[0])
            table[at] = None
            continue
        size = random.between(32 << 10, 1 << 20)
        stride = -(-class_of(size) // PAGE) * PAGE
        spans = free.setdefault(stride, [])
        first = spans.pop() if spans else end
        end = max(end, first + stride)
        touched |= {first // PAGE, (first + size - 1) // PAGE}
        table[at] = (first, stride)
    return {"touched": len(touched) * PAGE / MIB, "addresses": end / MIB}


# ---- realloc: what lives together, what each class needs at its own peak, and pages --------------


class Pages:
    """Blocks in whole pages of chunks of 64: each where it lies if it can grow there, or first fit.

    Sizes are in bytes, names anything.
    """

    CHUNK = 64

    def __init__(self) -> None:
        self._used: list[int] = []
        self._blocks: dict[int, tuple[int, int, int]] = {}  # chunk, first page, pages
        self._touched: set[tuple[int, int]] = set()

    def touched_bytes(self) -> int:
        return len(self._touched) * PAGE

    def free(self, name: int) -> None:
        if name in self._blocks:
            chunk, at, pages = self._blocks.pop(name)
            self._used[chunk] &= ~self._mask(at, pages)

    def resize(self, name: int, size: int) -> None:
        """Takes the block if there is none of this name."""
        pages = -(-size // PAGE)
        chunk, at, had = self._blocks.get(name, (0, 0, 0))
        if had >= pages:
            return
        more = self._mask(at + had, pages - had)
        if not had or at + pages > self.CHUNK or self._used[chunk] & more:
            place = self._first_fit(pages)  # the old block is still there while it is copied
            self.free(name)
            chunk, at = place
        self._used[chunk] |= self._mask(at, pages)
        self._blocks[name] = (chunk, at, pages)
        self._touched |= {(chunk, page) for page in range(at, at + pages)}

    def _first_fit(self, pages: int) -> tuple[int, int]:
        for chunk, used in enumerate(self._used):
            for at in range(self.CHUNK - pages + 1):
                if not used & self._mask(at, pages):
                    return chunk, at
        self._used.append(0)
        return len(self._used) - 1, 0

    @staticmethod
    def _mask(at: int, pages: int) -> int:
        return ((1 << pages) - 1) << at


def realloc(steps: int = 100_000, buffers: int = 256, limit: int = 64 << 10) -> dict[str, float]:
    """MiB at the peak: bytes, whole pages and powers of two, and the sum of the classes' peaks.

    And what blocks above 3 KiB touch if they share pages.
    """

    def power(size: int) -> int:
        return max(1 << (size - 1).bit_length(), PAGE) if size > 2048 else size

    def rounded(size: int) -> int:
        return -(-size // PAGE) * PAGE

    random, sizes = Random(0), [0] * buffers
    now = Counter[str]()
    most = Counter[str]()
    blocks, peaks = Counter[int](), Counter[int]()
    shared = Pages()
    for _ in range(steps):
        at = random.below(buffers)
        old = sizes[at]
        new = old + random.between(1, old // 2 + 16)
        new = 16 if new > limit else new
        now.update(bytes=new - old, pages=rounded(new) - rounded(old))
        now["powers of two"] += power(new) - (power(old) if old else 0)
        blocks[power(old)] -= 1
        blocks[power(new)] += 1
        peaks[power(new)] = max(peaks[power(new)], blocks[power(new)])
        sizes[at] = new
        if new > 3072:
            shared.resize(at, new)
        else:
            shared.free(at)
        for name, value in now.items():
            most[name] = max(most[name], value)
    by_class = sum(size * count for size, count in peaks.items() if size >= PAGE)
    most.update({"classes": by_class, "shared pages": shared.touched_bytes()})
    return {name: value / MIB for name, value in most.items()}


# ---- fragmentation: pages and slabs that hold a survivor, and holes that any size takes ----------


class Holes:
    """Blocks of any size in units by granules of 16 bytes: the first hole that fits."""

    GRANULE = 16
    GRANULES = UNIT // GRANULE

    def __init__(self) -> None:
        self._free: list[int] = []  # a bit for each granule of a unit
        self._first: Counter[int] = Counter()  # no unit below has a hole of so many granules

    def units(self) -> int:
        """Units that were ever taken."""
        return len(self._free)

    def take(self, size: int) -> int:
        """Where the block lies, in bytes."""
        count = -(-size // self.GRANULE)
        for unit in range(self._first[count], len(self._free)):
            if holes := self._holes(unit, count):
                break
        else:
            unit, holes = len(self._free), 1
            self._free.append((1 << self.GRANULES) - 1)
        self._first[count] = unit
        at = (holes & -holes).bit_length() - 1
        self._free[unit] &= ~(((1 << count) - 1) << at)
        return unit * UNIT + at * self.GRANULE

    def give(self, first: int, size: int) -> None:
        unit, at = divmod(first, UNIT)
        count = -(-size // self.GRANULE)
        self._free[unit] |= ((1 << count) - 1) << at // self.GRANULE
        for other, lowest in self._first.items():
            if lowest > unit:
                self._first[other] = unit

    def _holes(self, unit: int, count: int) -> int:
        """A bit for each granule from which on so many are free."""
        free, have = self._free[unit], 1
        while have < count and free:
            step = min(have, count - have)
            free &= free >> step
            have += step
        return free


def fragmentation(budget: int = 16 << 20, rounds: int = 14) -> dict[str, float]:
    """MiB at the peak: pages, and slabs of 64 KiB, that hold a block, each filling in new ones.

    And what the same blocks take if each lies in the first hole of whatever size.
    """
    random, live, end = Random(0), 0, 0
    blocks: list[tuple[int, int, int]] = []
    shared = Holes()
    most = Counter[str]()
    for turn in range(rounds):
        least = 32 << turn % 7
        room: dict[int, tuple[int, int]] = {}  # next place and end of each class's slab
        while live < budget:
            size = random.between(least, 2 * least - 1)
            stride = class_of(size)
            first, stop = room.get(stride, (0, 0))
            if first + stride > stop:
                first, stop, end = end, end + UNIT, end + UNIT
            room[stride] = (first + stride, stop)
            blocks.append((first, size, shared.take(stride)))
            live += size
        pages = {page for first, size, _ in blocks for page in pages_of(first, size)}
        slabs = {page // (UNIT // PAGE) for page in pages}
        most["pages"] = max(most["pages"], len(pages) * PAGE)
        most["slabs"] = max(most["slabs"], len(slabs) * UNIT)
        survivors = []
        for block in blocks:
            if random.below(8) == 0:
                survivors.append(block)
            else:
                shared.give(block[2], class_of(block[1]))
        blocks = survivors
        live = sum(size for _, size, _ in blocks)
    most["any hole"] = shared.units() * UNIT
    return {name: value / MIB for name, value in most.items()}


def main() -> None:
    for row in (large_mt, realloc, fragmentation):
        figures = ", ".join(f"{name} {mib:.1f}" for name, mib in row().items())
        print(f"{row.__name__:14}{figures} MiB")


if __name__ == "__main__":
    main()
