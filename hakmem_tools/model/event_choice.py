"""Which of a library's probes are worth streaming, and which somebody asked for by name. Pure."""

from __future__ import annotations

import difflib

from hakmem_tools.model.descriptors import Descriptors

#: Hit for each batch of blocks or slabs on a busy program's ordinary way. An attached probe costs
#: 0.66 microseconds a hit, so that these are streamed only when they are asked for by name.
FREQUENT = frozenset(
    (
        "stage_hit",
        "refill",
        "drain",
        "remote_drain",
        "slab_empty",
        "publish",
        "adopt",
        "bigcache_get",
        "bigcache_put",
        "batch_add",
        "alloc",
        "free",
    )
)


class UnknownEvent(ValueError):
    """No probe of the library has this name; the message names near ones."""


def rare_events(descriptors: Descriptors) -> frozenset[str]:
    """The probes that are streamed unasked."""
    return frozenset(probe.name for probe in descriptors.probes) - FREQUENT


def choose_events(wanted: str | None, descriptors: Descriptors) -> frozenset[str]:
    """The probes behind NAME[,NAME], "all", or None for the rare ones. Raises UnknownEvent."""
    known = [probe.name for probe in descriptors.probes]
    if wanted is None:
        return rare_events(descriptors)
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    if names == ["all"]:
        return frozenset(known)
    for name in names or [""]:
        if name not in known:
            given = name or repr(wanted)
            raise UnknownEvent(f"--event {given}: no such event; {_near(name, known)}")
    return frozenset(names)


def _near(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(near)}? `hakmem probes` lists all"
    return f"there are {', '.join(known)}, or all"
