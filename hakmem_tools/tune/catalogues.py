"""Knobs of the allocators that a sweep may set, and the proof that a knob took effect.

Each catalogue asks the allocator itself, in the version that the measured program would load: the
loader lists glibc's tunables, jemalloc and mimalloc print their options, tcmalloc is read through
its C interface. So there is no list here that could age, and mimalloc 2 and 3 each show their own
names. libhakmem's knobs come from a `KnobSpace`.

`verify` is called before a sweep measures anything; an arm whose setting is not in force is refused
with one line, and the other arms go on. Knobs are never set here.
"""

from __future__ import annotations

import difflib
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from hakmem_tools.model.trial import Arm
from hakmem_tools.tune import loader
from hakmem_tools.tune.plan import Plan
from hakmem_tools.tune.protocols import KnobSpace

FAMILIES = ("jemalloc", "mimalloc", "tcmalloc", "hakmem")
_HARMLESS = "/bin/true"


class Setting(msgspec.Struct, frozen=True):
    """One knob as an arm sets it: the variable, the knob inside it, and the value asked for."""

    family: str
    variable: str
    knob: str
    asked: str


class Knob(msgspec.Struct, frozen=True):
    """A knob with the value in force; the range where the allocator tells it."""

    name: str
    value: str
    minimum: int | None = None
    maximum: int | None = None


class Verification(msgspec.Struct, frozen=True):
    """Arms that cannot be measured, each with its reason; and what could not be checked."""

    refused: dict[str, str]
    notes: tuple[str, ...] = ()


def settings_of(env: Mapping[str, str]) -> list[Setting]:
    """The knobs among an environment's variables; other variables are nobody's knobs."""
    found = []
    for variable, value in env.items():
        if variable == "GLIBC_TUNABLES":
            for name, asked in _pairs(value, ":", "="):
                found.append(Setting("glibc", variable, name, asked))
        elif variable == "MALLOC_CONF":
            for name, asked in _pairs(value, ",", ":"):
                found.append(Setting("jemalloc", variable, name, asked))
        elif variable.upper().startswith("MIMALLOC_"):
            found.append(Setting("mimalloc", variable, variable[9:].lower(), value))
        elif variable.startswith("TCMALLOC_"):
            found.append(Setting("tcmalloc", variable, variable, value))
        elif variable.startswith(("HAKMEM_", "HAKO_")):
            found.append(Setting("hakmem", variable, variable, value))
    return found


def verify(plan: Plan, base: Mapping[str, str], space: KnobSpace | None = None) -> Verification:
    """Check every arm of a plan on this machine; nothing of the plan is executed."""
    program = (plan.server.command if plan.server else plan.command)[0]
    refused: dict[str, str] = {}
    notes: dict[str, None] = {}
    for arm in plan.arms:
        env = {**base, **plan.env, **arm.env}
        reason = verify_arm(arm, env, program, space)
        if reason:
            refused[arm.name] = reason
        families = {setting.family for setting in settings_of({**plan.env, **arm.env})}
        if "hakmem" in families and space is None:
            notes["HAKMEM_* knobs were not read back: libhakmem's tables are not at hand"] = None
        for setting in settings_of(arm.env):
            if setting.family == "tcmalloc" and setting.variable not in _TCMALLOC_PROPERTIES:
                notes[f"{setting.variable}: known to tcmalloc, but it cannot be read back"] = None
    return Verification(refused, tuple(notes))


def verify_arm(arm: Arm, env: Mapping[str, str], program: str, space: KnobSpace | None) -> str:
    """Why an arm's settings are not in force, or ''; `env` is its whole environment."""
    try:
        found = loader.loaded(program, env)
        for complaint in found.complaints:
            if "preload" in complaint:
                return f"LD_PRELOAD: {complaint.removeprefix('ERROR: ')}"
        libraries = {family: _library(found, family) for family in FAMILIES}
        settings = settings_of(arm.env)
        for family in dict.fromkeys(setting.family for setting in settings):
            mine = [setting for setting in settings if setting.family == family]
            reason = _check_family(family, mine, env, program, libraries, space)
            if reason:
                return reason
    except (OSError, subprocess.SubprocessError) as error:
        return f"its knobs cannot be read back: {error}"
    return ""


def _check_family(
    family: str, settings: list[Setting], env: Mapping[str, str], program: str,
    libraries: Mapping[str, str | None], space: KnobSpace | None,
) -> str:  # fmt: skip
    if family == "hakmem":
        return _check_hakmem(settings, env, space)
    if family == "glibc":
        replaced = [name for name, path in libraries.items() if path]
        inside = [setting.knob for setting in settings if setting.knob.startswith("glibc.malloc.")]
        if replaced and inside:
            return f"{inside[0]}: {replaced[0]} replaces glibc's malloc, so it does nothing"
        answer = _Answer(_glibc(program, env), "glibc")
        return _ignored_by_glibc(settings) or _compare(settings, answer)
    library = libraries[family]
    if library is None:
        return f"{settings[0].variable} is set, but neither LD_PRELOAD nor {program} loads {family}"
    if family == "tcmalloc":
        return _check_tcmalloc(settings, env, library)
    return _compare(settings, _asked(family, env, library))


def catalogue(family: str, env: Mapping[str, str], program: str = _HARMLESS) -> dict[str, Knob]:
    """Knobs of an allocator in the version that `program` loads under `env`, with their values.

    Families: glibc, jemalloc, mimalloc (tcmalloc and libhakmem do not list theirs this way).
    Raises ValueError if that allocator is not loaded there.
    """
    if family == "glibc":
        return _glibc(program, env)
    library = _library(loader.loaded(program, env), family)
    if library is None or family not in _ASK:
        raise ValueError(f"{family}: not loaded by {program}, or it does not list its knobs")
    return _asked(family, env, library).knobs


# What malloc of glibc drops although the loader lists it as set (malloc/malloc.c, do_set_*).
_GLIBC_MOST = {
    "glibc.malloc.tcache_count": 65535,
    "glibc.malloc.mmap_threshold": 4 << 20 << 3,  # on machines of 64 bits
}


def _ignored_by_glibc(settings: list[Setting]) -> str:
    for setting in settings:
        most = _GLIBC_MOST.get(setting.knob)
        number = _canonical(setting.asked)
        if most is not None and number.isdigit() and int(number) > most:
            return f"{setting.knob}={setting.asked}: glibc ignores it, allowed is 0..{most}"
    return ""


def _glibc(program: str, env: Mapping[str, str]) -> dict[str, Knob]:
    return {
        name: Knob(name, str(one.value), one.minimum, one.maximum)
        for name, one in loader.tunables(program, env).items()
        if one.value is not None
    }


class _Answer(msgspec.Struct, frozen=True):
    """What an allocator says of itself: its knobs, who it is, and what it complained about."""

    knobs: dict[str, Knob]
    who: str
    complaint: str = ""


def _ask_jemalloc(env: Mapping[str, str]) -> _Answer:
    conf = env.get("MALLOC_CONF", "")
    # "mdablxeh" leaves out everything but the options.
    extra = "stats_print:true,stats_print_opts:mdablxeh"
    text = loader.run_quietly([_HARMLESS], {**env, "MALLOC_CONF": f"{conf},{extra}".lstrip(",")})
    version = re.search(r'Version: "([\d.]+)', text)
    options = re.findall(r'^\s*opt\.(\w+): "?([^"\s]*)', text, re.MULTILINE)
    knobs = {name: Knob(name, value) for name, value in options}
    complaints = re.findall(r"<jemalloc>: ((?:Invalid|Out-of-range|Malformed).*)", text)
    return _Answer(knobs, _named("jemalloc", version), complaints[0] if complaints else "")


def _ask_mimalloc(env: Mapping[str, str]) -> _Answer:
    text = loader.run_quietly([_HARMLESS], {**env, "MIMALLOC_VERBOSE": "1"})
    version = re.search(r"^(?:mimalloc: )?v?(\d+\.\d+\.\d+)", text, re.MULTILINE)
    options = re.findall(r"option '(\w+)': (-?\d+)( KiB)?", text)
    knobs = {name: Knob(name, f"{value}{'K' if unit else ''}") for name, value, unit in options}
    return _Answer(knobs, _named("mimalloc", version))


def _named(family: str, version: re.Match[str] | None) -> str:
    return f"{family} {version.group(1)}" if version else family


_ASK: dict[str, Callable[[Mapping[str, str]], _Answer]] = {
    "jemalloc": _ask_jemalloc,
    "mimalloc": _ask_mimalloc,
}


def _asked(family: str, env: Mapping[str, str], library: str) -> _Answer:
    """Have a harmless program load the library under `env`, and read what it says of itself."""
    return _ASK[family]({**env, "LD_PRELOAD": library})


def _compare(settings: list[Setting], answer: _Answer) -> str:
    """The first setting that the allocator does not know or does not have in force, or ''."""
    reason = _difference(settings, answer.knobs, answer.who)
    return f"{reason} ({answer.complaint})" if reason and answer.complaint else reason


def _difference(settings: list[Setting], knobs: Mapping[str, Knob], who: str) -> str:
    if not knobs:
        return f"{settings[0].variable}: {who} lists no knobs here, so nothing can be read back"
    for setting in settings:
        knob = knobs.get(setting.knob)
        if knob is None:
            if f"deprecated_{setting.knob}" in knobs:
                return f"{setting.variable}: {who} no longer has {setting.knob}; it does nothing"
            current = [name for name in knobs if not name.startswith("deprecated_")]
            near = difflib.get_close_matches(setting.knob, current, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            return f"{setting.variable}: {who} has no knob {setting.knob!r}{hint}"
        if not same_value(setting.asked, knob.value):
            limits = f", allowed is {knob.minimum}..{knob.maximum}" if knob.maximum else ""
            return f"{setting.knob}={setting.asked}: {who} has {knob.value} in force{limits}"
    return ""


_TCMALLOC_PROPERTIES = {
    "TCMALLOC_MAX_TOTAL_THREAD_CACHE_BYTES": "tcmalloc.max_total_thread_cache_bytes",
    "TCMALLOC_AGGRESSIVE_DECOMMIT": "tcmalloc.aggressive_memory_decommit",
    "TCMALLOC_HEAP_LIMIT_MB": "tcmalloc.heap_limit_mb",
}
_READ_PROPERTY = (
    "import ctypes, sys; value = ctypes.c_size_t();"
    " ok = ctypes.CDLL(None).MallocExtension_GetNumericProperty("
    "sys.argv[1].encode(), ctypes.byref(value)); print(value.value if ok else '')"
)


def _check_tcmalloc(settings: list[Setting], env: Mapping[str, str], library: str) -> str:
    """Known if the library holds the variable's name; read back where it has a property for it."""
    contents = Path(library).read_bytes()
    names = {name.decode() for name in re.findall(rb"TCMALLOC_[A-Z_]+", contents)}
    for setting in settings:
        if setting.variable not in names:
            near = difflib.get_close_matches(setting.variable, names, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            return f"{setting.variable}: this tcmalloc does not read it{hint}"
        wanted = _TCMALLOC_PROPERTIES.get(setting.variable)
        if wanted:
            command = [sys.executable, "-I", "-S", "-c", _READ_PROPERTY, wanted]
            value = loader.run_quietly(command, {**env, "LD_PRELOAD": library}).strip()
            if not same_value(setting.asked, value):
                return (
                    f"{setting.variable}={setting.asked}: tcmalloc has {value or 'none'} in force"
                )
    return ""


def _check_hakmem(settings: list[Setting], env: Mapping[str, str], space: KnobSpace | None) -> str:
    asked = {setting.variable: setting.asked for setting in settings}
    return "" if space is None else space.refusal(asked, env)


_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_WORDS = {"true": "1", "yes": "1", "on": "1", "false": "0", "no": "0", "off": "0"}


def same_value(asked: str, effective: str) -> bool:
    """Whether two spellings mean one value: 1 and true, 4096 and 0x1000, 1024K and 1MiB."""
    return _canonical(asked) == _canonical(effective)


def _canonical(text: str) -> str:
    word = _WORDS.get(text.strip().lower(), text.strip().lower())
    match = re.fullmatch(r"(-?(?:0x[0-9a-f]+|\d+))\s*([kmgt]?)(?:i?b)?", word)
    return str(int(match.group(1), 0) * _UNITS[match.group(2)]) if match else word


def _pairs(text: str, between: str, inside: str) -> list[tuple[str, str]]:
    parts = [part.partition(inside) for part in text.split(between) if part.strip()]
    return [(name.strip(), value.strip()) for name, _, value in parts]


def _library(found: loader.Loaded, family: str) -> str | None:
    for name, path in found.libraries.items():
        if family in Path(name).name:
            return path
    return None
