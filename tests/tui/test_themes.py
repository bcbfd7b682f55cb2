"""Both palettes can be read."""

from __future__ import annotations

import pytest
from textual.color import Color
from textual.theme import Theme

from hakmem_top.lines import TONES
from hakmem_top.themes import DARK, LIGHT, preferred

#: Tones that only fill areas; 3 to 1 is what graphics need, 4.5 to 1 what text needs.
FILLS = ("live", "mapped")


def luminance(colour: Color) -> float:
    """Relative luminance after WCAG 2.1."""
    parts = [part / 255 for part in colour.rgb]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted(luminance(Color.parse(colour)) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
@pytest.mark.parametrize("ground", ["back", "bar", "cursor"])
@pytest.mark.parametrize("tone", TONES)
def test_every_tone_stands_out_from_its_ground(theme: Theme, tone: str, ground: str) -> None:
    wanted = 3.0 if tone in FILLS else 4.5
    colours = theme.variables
    assert contrast(colours[f"tone-{tone}"], colours[f"tone-{ground}"]) >= wanted


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("0;15", LIGHT.name),
        ("0;default;15", LIGHT.name),
        ("15;0", DARK.name),
        ("", DARK.name),
        ("nonsense", DARK.name),
    ],
)
def test_the_palette_follows_the_terminal(value: str, name: str) -> None:
    assert preferred({"COLORFGBG": value}) == name
