"""C++ and Rust names as people write them, by c++filt in a process of its own.

Names come from the target's files. libiberty's demangler (binutils' c++filt: Itanium C++, Rust
v0 and legacy) has fallen over on hostile names before: in its own process, bounded in time, it
takes nothing of ours with it. One process serves a whole batch. Without c++filt, or when it
fails, names stay as they are.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable

_MANGLED = re.compile(r"_?_[ZR][A-Za-z0-9_.$]{1,8000}\Z")
#: What tells two builds of a Rust crate apart: ::h and 16 digits at the end, or [digits].
_RUST_HASH = re.compile(r"::h[0-9a-f]{16}\Z|(?<=\w)\[[0-9a-f]{1,16}\]")
_SECONDS = 10

Run = Callable[[str], str]


def is_mangled(name: str) -> bool:
    """Whether a name looks like mangled C++ or Rust."""
    return _MANGLED.match(name) is not None


def demangle(names: Iterable[str], run: Run | None = None) -> dict[str, str]:
    """Name -> what to show for it; without parameters, since file and line tell overloads apart.

    `run` takes mangled names, one a line, and gives as many lines back.
    """
    wanted = dict.fromkeys(names)
    mangled = [name for name in wanted if is_mangled(name)]
    shown = {name: name for name in wanted}
    if mangled:
        lines = (run or _filtered)("\n".join(mangled) + "\n").splitlines()
        if len(lines) == len(mangled):
            pairs = zip(mangled, lines, strict=True)
            shown.update((name, _RUST_HASH.sub("", line)) for name, line in pairs if line)
    return shown


def _filtered(text: str) -> str:
    try:
        done = subprocess.run(
            ["c++filt", "--no-params"],
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout if done.returncode == 0 else ""
