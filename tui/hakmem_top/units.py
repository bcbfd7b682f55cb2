"""Numbers as people read them: bytes, counts, rates, shares, spans of time.

Used by everything that turns figures into text. Pure; it never decides what is shown, and
it never makes up a number: None becomes the placeholder `MISSING`.
"""

from __future__ import annotations

#: Stands wherever a figure is not known. The reason is given in the status line.
MISSING = "—"

_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_COMPACT = ("", "Ki", "Mi", "Gi", "Ti", "Pi")
_DECIMAL = ("", "k", "M", "G", "T")


def _three_digits(value: float) -> str:
    """A value below 1000 with three significant digits: 1.25, 12.5, 125."""
    if value >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def _scaled(value: float, step: float, last: int) -> tuple[float, int]:
    """The value divided by `step` until three digits hold it, and how often."""
    power = 0
    while value >= 999.5 and power < last:
        value /= step
        power += 1
    return value, power


def size(value: float | None) -> str:
    """Bytes with a binary unit and three digits, such as `12.5 MiB`."""
    if value is None:
        return MISSING
    sign = "-" if value < 0 else ""
    scaled, power = _scaled(abs(value), 1024, len(_BINARY) - 1)
    digits = f"{scaled:.0f}" if power == 0 else _three_digits(scaled)
    return f"{sign}{digits} {_BINARY[power]}"


def size_short(value: float | None) -> str:
    """Bytes in at most six columns, such as `12.5Mi`; plain bytes carry no unit."""
    if value is None:
        return MISSING
    sign = "-" if value < 0 else ""
    scaled, power = _scaled(abs(value), 1024, len(_COMPACT) - 1)
    digits = f"{scaled:.0f}" if power == 0 else _three_digits(scaled)
    return f"{sign}{digits}{_COMPACT[power]}"


def block_size(value: int) -> str:
    """The stride of a size class: exact, in bytes up to 9999, else in whole KiB or MiB."""
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if value > 9999 and value % unit == 0:
            return f"{value // unit} {name}"
    return f"{value} B" if value <= 9999 else size(value)


def block_size_short(value: int) -> str:
    """The same in at most five columns for every size class there is, such as `64Ki`."""
    for unit, name in ((1 << 20, "Mi"), (1 << 10, "Ki")):
        if value > 9999 and value % unit == 0 and value // unit < 1000:
            return f"{value // unit}{name}"
    return str(value) if value <= 9999 else size_short(value)


def growth(value: float | None) -> str:
    """A signed difference in bytes, such as `+12.5 MiB`; zero has no sign."""
    if value is None:
        return MISSING
    return f"+{size(value)}" if value > 0 else size(value)


def growth_short(value: float | None) -> str:
    """The same in at most seven columns, such as `+12.5Mi`."""
    if value is None:
        return MISSING
    return f"+{size_short(value)}" if value > 0 else size_short(value)


def count(value: float | None) -> str:
    """A count: exact with separators below 100,000, else three digits and a unit."""
    if value is None:
        return MISSING
    if abs(value) < 99_999.5:
        return f"{value:,.0f}"
    return count_short(value)


def count_short(value: float | None) -> str:
    """A count in at most five columns, such as `12.3k`."""
    if value is None:
        return MISSING
    sign = "-" if value < 0 else ""
    if abs(value) < 9_999.5:
        return f"{sign}{abs(value):.0f}"
    scaled, power = _scaled(abs(value), 1000, len(_DECIMAL) - 1)
    return f"{sign}{_three_digits(scaled)}{_DECIMAL[power]}"


def rate(value: float | None) -> str:
    """Events a second without the unit, such as `0`, `0.40`, `12.5`, `1.24M`."""
    if value is None:
        return MISSING
    if value <= 0:
        return "0"
    scaled, power = _scaled(value, 1000, len(_DECIMAL) - 1)
    return f"{_three_digits(scaled)}{_DECIMAL[power]}"


def share(value: float | None) -> str:
    """A share of 1 as a percentage, such as `98.7%`; never rounded up to 100 or down to 0."""
    if value is None:
        return MISSING
    percent = value * 100
    if percent in (0.0, 100.0):
        return f"{percent:.0f}%"
    if 99.95 <= percent < 100:
        return "99.9%"
    if 0 < percent < 0.05:
        return "<0.1%"
    return f"{percent:.1f}%"


def share_short(value: float | None) -> str:
    """A share of 1 in at most four columns, such as `98%`."""
    if value is None:
        return MISSING
    percent = value * 100
    if 99.5 <= percent < 100:
        return "99%"
    return "<1%" if 0 < percent < 0.5 else f"{percent:.0f}%"


def span(seconds: float | None) -> str:
    """A length of time, such as `0.25s`, `58s`, `1m22s`, `2h03m`."""
    if seconds is None:
        return MISSING
    if seconds < 10:
        return f"{seconds:.2f}".rstrip("0").rstrip(".") + "s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def moment(seconds: float) -> str:
    """A point on the watch's own clock, such as `3.250` or `12:03.250`."""
    millis = round(seconds * 1000)
    minutes, rest = divmod(millis, 60_000)
    if minutes == 0:
        return f"{rest / 1000:.3f}"
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{head}:{rest / 1000:06.3f}"


def moment_short(seconds: float) -> str:
    """The same in at most eight columns: hundredths below an hour, seconds above."""
    if seconds < 3600:
        return moment(seconds)[:-1]
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
