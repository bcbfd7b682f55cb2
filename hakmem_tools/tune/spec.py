"""Reads a sweep's spec from TOML into a `Plan`.

The sweep command uses it. Every fault in a spec is one `PlanError` line with the place, the value
and what is allowed; keys it does not know are refused, since a misspelt limit that is ignored would
be worse than none. It reads text, not files, and starts nothing.
"""

from __future__ import annotations

import difflib
import shlex
import tomllib
from collections.abc import Mapping
from typing import Any

from hakmem_tools.model.trial import Arm
from hakmem_tools.tune.metric import Metric
from hakmem_tools.tune.plan import Limits, Plan, PlanError, Server, check, cross, distinct_names
from hakmem_tools.tune.verdict import Condition, Rules, parse_condition

_NUMBER = (int, float)
_TOP = {
    "title": str, "command": (str, list), "cwd": str, "setup": (str, list), "env": dict,
    "arm": list, "knobs": dict, "metric": dict, "also": list, "server": dict, "limits": dict,
    "verdict": dict, "perf": list, "rss_seconds": _NUMBER, "seed": int,
}  # fmt: skip
_METRIC = {
    "name": str,
    "better": str,
    "regex": str,
    "json": str,
    "counter": str,
    "probe": str,
    "ratio": list,
    "unit": str,
}
_SERVER = {
    "command": (str, list), "ready_port": int, "ready_regex": str, "ready_seconds": _NUMBER,
    "stop_signal": str, "stop_seconds": _NUMBER,
}  # fmt: skip
_LIMITS = {
    "blocks": int, "max_time": _NUMBER, "precision": _NUMBER, "until": str, "calibration": int,
    "run_timeout": _NUMBER, "level": _NUMBER, "detect": _NUMBER,
}  # fmt: skip
_VERDICT = {
    "go": _NUMBER, "neutral": _NUMBER, "no_go": _NUMBER, "judge": str, "conditions": list,
}  # fmt: skip


def parse_spec(text: str) -> Plan:
    """Read a whole spec; raises PlanError with one line for the first fault."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PlanError(f"not TOML: {error}") from None
    table = _table("", data, _TOP)
    if "command" not in table:
        raise PlanError("command is missing: say what to measure, command = ['./prog', '100']")
    return check(
        Plan(
            title=table.get("title", ""),
            command=_words("command", table["command"]),
            cwd=table.get("cwd", "."),
            setup=_words("setup", table["setup"]) if "setup" in table else (),
            env=_env("env", table.get("env", {})),
            arms=_arms(table),
            metric=_metric("metric", table["metric"]) if "metric" in table else Metric(name="wall"),
            also=tuple(_metric(f"also[{n}]", one) for n, one in enumerate(table.get("also", []))),
            server=_server(table["server"]) if "server" in table else None,
            limits=Limits(**_table("limits", table.get("limits", {}), _LIMITS)),
            rules=_rules(table.get("verdict", {})),
            perf_events=_strings("perf", table.get("perf", [])),
            rss_seconds=float(table.get("rss_seconds", 0.05)),
            seed=table.get("seed", 1),
        )
    )


def _table(where: str, value: object, known: Mapping[str, Any]) -> dict[str, Any]:
    """Check a table's keys and the types of its values; `where` is empty for the whole spec."""
    if not isinstance(value, dict):
        raise PlanError(f"{where}: expected a table, got {value!r}")
    prefix = f"{where}." if where else ""
    for key, item in value.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"allowed: {', '.join(sorted(known))}"
            raise PlanError(f"{prefix}{key}: no such key; {hint}")
        # bool is an int to Python, and never what a number here means.
        if isinstance(item, bool) or not isinstance(item, known[key]):
            kinds = known[key] if isinstance(known[key], tuple) else (known[key],)
            names = " or ".join(kind.__name__ for kind in kinds)
            raise PlanError(f"{prefix}{key}={item!r}: expected {names}")
    return value


def _words(where: str, value: str | list[Any]) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(value)) if isinstance(value, str) else _strings(where, value)
    except ValueError as error:
        raise PlanError(f"{where}={value!r}: {error}") from None
    if not words:
        raise PlanError(f"{where} is empty")
    return words


def _strings(where: str, values: list[Any]) -> tuple[str, ...]:
    for value in values:
        if not isinstance(value, str):
            raise PlanError(f"{where}: {value!r} is not a string")
    return tuple(values)


def _env(where: str, value: object) -> dict[str, str]:
    """Environment variables; numbers are taken as they are written."""
    if not isinstance(value, dict):
        raise PlanError(f"{where}: expected a table of NAME = 'value', got {value!r}")
    env = {}
    for name, item in value.items():
        if isinstance(item, bool) or not isinstance(item, (str, int, float)):
            raise PlanError(f"{where}.{name}={item!r}: expected a string or a number")
        env[name] = str(item)
    return env


def _arms(table: Mapping[str, Any]) -> tuple[Arm, ...]:
    """Either [[arm]] tables, the first being the reference, or the cross product of [knobs]."""
    if bool(table.get("arm")) == bool(table.get("knobs")):
        raise PlanError("give either [[arm]] tables or [knobs], one of the two")
    if table.get("knobs"):
        axes = []
        for name, values in table["knobs"].items():
            if not isinstance(values, list) or not values:
                raise PlanError(f"knobs.{name}={values!r}: expected a list of values")
            axes.append((name, [_env("knobs", {name: value})[name] for value in values]))
        return cross(axes)
    arms = []
    for number, one in enumerate(table["arm"]):
        where = f"arm[{number}]"
        entry = _table(where, one, {"name": str, "env": dict})
        env = _env(f"{where}.env", entry.get("env", {}))
        if not env and "name" not in entry:
            raise PlanError(f"{where} is empty: give it a name, an env, or both")
        arm = Arm("", env)
        arms.append(Arm(entry.get("name") or arm.text, env))
    return distinct_names(arms) if not any("name" in one for one in table["arm"]) else tuple(arms)


def _metric(where: str, value: object) -> Metric:
    entry = dict(_table(where, value, _METRIC))
    entry["json_path"] = entry.pop("json", "")
    entry["ratio"] = _strings(f"{where}.ratio", entry.pop("ratio", []))
    if "name" not in entry:
        raise PlanError(f"{where}.name is missing")
    return Metric(**entry)


def _server(value: object) -> Server:
    entry = dict(_table("server", value, _SERVER))
    if "command" not in entry:
        raise PlanError("server.command is missing")
    entry["command"] = _words("server.command", entry["command"])
    return Server(**entry)


def _rules(value: object) -> Rules:
    entry = dict(_table("verdict", value, _VERDICT))
    conditions: list[Condition] = []
    for text in _strings("verdict.conditions", entry.pop("conditions", [])):
        try:
            conditions.append(parse_condition(text))
        except ValueError as error:
            raise PlanError(f"verdict.conditions: {error}") from None
    return Rules(**entry, conditions=tuple(conditions))
