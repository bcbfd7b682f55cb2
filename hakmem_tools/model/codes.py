"""Which probe arguments carry codes, and what their numbers mean.

A probe's description says it in one fixed phrase, "reason is a FAIL code", so that the probe
table stays the only place where it is written down. Used by sources that turn hits into
Events, and by the generator that counts hits by code. Pure.
"""

from __future__ import annotations

import re

from hakmem_tools.model.descriptors import Descriptors, Probe

_PHRASE = re.compile(r"\b(?P<argument>\w+) is an? (?P<group>[A-Z][A-Z0-9_]*) code\b")

#: The argument that names a size class, in every probe that has one.
CLASS_ARGUMENT = "class"


def argument_groups(probe: Probe) -> dict[str, str]:
    """Argument -> group of the codes table, for the arguments that carry codes."""
    phrases = _PHRASE.finditer(probe.doc)
    return {m["argument"]: m["group"] for m in phrases if m["argument"] in probe.args}


def code_argument(probe: Probe) -> str | None:
    """The first argument that carries a code: what the probe's hits are counted by."""
    groups = argument_groups(probe)
    return next((name for name in probe.args if name in groups), None)


def code_word(descriptors: Descriptors, probe: Probe, value: int) -> str | None:
    """The word for a value of the probe's code argument; the number's own where it has none."""
    argument = code_argument(probe)
    if argument is None:
        return None
    return descriptors.code_text(argument_groups(probe)[argument], value)
