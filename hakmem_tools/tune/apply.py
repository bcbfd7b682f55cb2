"""Turns a proven setting into files: an environment file and a systemd drop-in.

`hakmem apply` writes what this renders. Pure text: it neither decides what is proven nor touches a
system. Quoting follows systemd.exec(5): a drop-in's values double `%` and escape as in C; an
environment file is read by systemd and by a shell alike, so it keeps to single quotes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from hakmem_tools.tune.plan import PlanError

_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]+")


def settings(plan_env: Mapping[str, str], arm_env: Mapping[str, str], cwd: str) -> dict[str, str]:
    """What to set: the plan's environment and the arm's over it, with LD_PRELOAD made absolute.

    A preload by bare name stays: the loader finds it. PlanError for a value that holds a newline,
    which neither file can carry.
    """
    env = {**plan_env, **arm_env}
    for name, value in env.items():
        if "\n" in value or "\0" in value:
            raise PlanError(f"{name}: a value with a line break cannot be written to a file")
    preload = env.get("LD_PRELOAD")
    if preload:
        parts = [part for part in re.split(r"[:\s]+", preload) if part]
        absolute = [str((Path(cwd) / part).resolve()) if "/" in part else part for part in parts]
        env["LD_PRELOAD"] = ":".join(absolute)
    return env


def env_file(env: Mapping[str, str], evidence: str) -> str:
    """An environment file: for `EnvironmentFile=`, or `set -a; . FILE` in a shell."""
    lines = [_comment(evidence)]
    lines += [f"{name}={_shell_quoted(value)}" for name, value in sorted(env.items())]
    return "\n".join(lines) + "\n"


def drop_in(env: Mapping[str, str], evidence: str) -> str:
    """A drop-in for a service's unit."""
    lines = [_comment(evidence), "[Service]"]
    lines += [f'Environment="{name}={_unit_quoted(value)}"' for name, value in sorted(env.items())]
    return "\n".join(lines) + "\n"


def drop_in_path(unit: str, root: Path) -> Path:
    """Where a unit's drop-in goes: ROOT/UNIT.service.d/50-hakmem.conf."""
    if not _UNIT.fullmatch(unit) or unit.startswith("."):
        raise PlanError(f"--systemd {unit!r}: not a unit's name; write redis-server, for instance")
    name = unit if unit.endswith((".service", ".scope", ".slice")) else f"{unit}.service"
    return root / f"{name}.d" / "50-hakmem.conf"


def _comment(text: str) -> str:
    return "\n".join(f"# {line}" for line in text.splitlines())


def _shell_quoted(value: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_./:,=+@-]*", value):
        return value
    # Inside single quotes nothing is special, to a shell and to systemd; a quote itself is put in
    # double quotes between two such strings, which both of them join.
    return "'" + value.replace("'", "'\"'\"'") + "'"


def _unit_quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
