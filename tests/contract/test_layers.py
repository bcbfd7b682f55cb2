"""Nothing imports or includes upwards: the floors of docs/design.md, checked.

Python's contracts are written in pyproject.toml and checked by import-linter; the C floors are
written here.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).resolve().parents[2]
LIB = ROOT / "lib"

# A room may include itself, and the rooms that its line names.
GROUND = {"base", "tables", "include"}
MAY_INCLUDE = {
    "include": set(),
    "tables": set(),
    "base": {"tables", "include"},
    "core": GROUND,
    "os": GROUND | {"core"},
    "learn": GROUND | {"core"},
    "slab": GROUND | {"core", "os"},
    "mid": GROUND | {"core", "os", "slab"},
    "tiny": GROUND | {"core", "os", "slab"},
    "front": GROUND | {"core", "os", "slab", "mid", "tiny", "learn"},
}
# Formulas and rules: what they need of the world is handed to them.
PURE_MAY_INCLUDE = {
    "float.h", "limits.h", "math.h", "stdbool.h", "stddef.h", "stdint.h", "string.h"
}  # fmt: skip

SOURCES = sorted(path for path in LIB.rglob("*") if path.suffix in {".c", ".h", ".def"})
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.MULTILINE)


def includes(source: Path, opening: str) -> list[str]:
    """What a file includes, in order: its own headers ('"') or the system's ('<')."""
    return [name for mark, name in INCLUDE.findall(source.read_text()) if mark == opening]


def resolve(source: Path, name: str) -> Path | None:
    """The file that the compiler finds for `name`: beside the source, in lib/include, in lib/."""
    tried = (source.parent / name, LIB / "include" / name, LIB / name)
    return next((path.resolve() for path in tried if path.is_file()), None)


def room(path: Path) -> str:
    return path.relative_to(LIB).parts[0]


def test_no_python_module_imports_upwards() -> None:
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_every_directory_of_lib_is_a_known_room() -> None:
    assert {room(path) for path in SOURCES} <= set(MAY_INCLUDE)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(LIB)))
def test_no_c_file_includes_upwards(source: Path) -> None:
    allowed = MAY_INCLUDE[room(source)] | {room(source)}
    for name in includes(source, '"'):
        found = resolve(source, name)
        assert found, f'#include "{name}" is not a file under lib/'
        assert room(found) in allowed, f"{room(source)} may not include {name}"


def is_pure(path: Path) -> bool:
    """Size classes, and all of learn/ but the thread that conducts it."""
    return path.stem == "sizeclass" or (room(path) == "learn" and path.stem != "learner")


def test_a_pure_c_file_asks_nothing_of_the_system() -> None:
    asking = {
        str(path.relative_to(LIB)): beyond
        for path in SOURCES
        if is_pure(path) and (beyond := set(includes(path, "<")) - PURE_MAY_INCLUDE)
    }
    assert asking == {}


def test_no_file_of_the_library_uses_stdio() -> None:
    users = [path for path in SOURCES if {"stdio.h", "locale.h"} & set(includes(path, "<"))]
    assert users == []


def test_no_room_includes_itself_by_way_of_others() -> None:
    for start in SOURCES:
        seen: set[Path] = set()
        waiting = [start]
        while waiting:
            source = waiting.pop()
            found = [resolve(source, name) for name in includes(source, '"')]
            fresh = {path for path in found if path and path.suffix == ".h"} - seen
            assert start.resolve() not in fresh, f"{start} includes itself"
            seen |= fresh
            waiting += fresh
