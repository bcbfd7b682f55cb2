"""The two palettes, and which one a terminal gets first.

Used by the app, the stylesheet and widgets/line_view.py. Every text colour has a contrast of
at least 4.5 to 1 against its background (tests/tui checks it).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from rich.style import Style
from textual.theme import Theme

from hakmem_top.lines import TONES

#: Tones that are set in bold.
_BOLD = ("strong", "alarm", "key", "chosen")


def _theme(name: str, dark: bool, **colours: str) -> Theme:
    """A theme whose own colours are also variables, `tone-live` and so on."""
    return Theme(
        name=name,
        dark=dark,
        primary=colours["live"],
        foreground=colours["value"],
        background=colours["back"],
        surface=colours["back"],
        panel=colours["back"],
        success=colours["good"],
        warning=colours["warn"],
        error=colours["alarm"],
        accent=colours["key"],
        variables={f"tone-{tone}": colour for tone, colour in colours.items()},
    )


DARK = _theme(
    "hakmem-dark",
    True,
    back="#14181d",
    bar="#1d232a",
    cursor="#26323c",
    rule="#3a444f",
    value="#d5dbe1",
    strong="#f2f5f7",
    label="#9ca9b5",
    head="#a9b6c2",
    dim="#8d99a5",
    live="#3f918c",
    mapped="#7c8ea0",
    good="#8cbf78",
    warn="#dcb067",
    alarm="#f08a80",
    key="#82b4e6",
    chosen="#f2f5f7",
)

LIGHT = _theme(
    "hakmem-light",
    False,
    back="#fbfaf7",
    bar="#efede7",
    cursor="#dfe9ec",
    rule="#c9c5bb",
    value="#2c3238",
    strong="#0c1013",
    label="#55606a",
    head="#49545e",
    dim="#5f6972",
    live="#3a8f8a",
    mapped="#6a7884",
    good="#3c6e26",
    warn="#875600",
    alarm="#b3261e",
    key="#1c5aa0",
    chosen="#0c1013",
)


@cache
def _styles(name: str) -> Mapping[str, Style]:
    colours = next(theme for theme in (DARK, LIGHT) if theme.name == name).variables
    styles = {
        tone: Style(color=colours[f"tone-{tone}"], bold=tone in _BOLD or None) for tone in TONES
    }
    return {**styles, "plain": Style.null()}


def tone_styles(theme: Theme) -> Mapping[str, Style]:
    """The style of each tone; `plain` leaves the text in its widget's own colour."""
    return _styles(theme.name)


def preferred(environ: Mapping[str, str]) -> str:
    """The palette that suits the terminal: `COLORFGBG=0;15` says light; dark when it is silent."""
    background = environ.get("COLORFGBG", "").rpartition(";")[2]
    return LIGHT.name if background in ("7", "15") else DARK.name
