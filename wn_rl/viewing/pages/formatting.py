"""How numbers and settings are written on a page."""

from typing import Any

MINUS = "−"


def format_number(value: float | None) -> str:
    """Up to four significant digits, thousands apart, a true minus: 1,234 or −20.37 or 0.0117; "–" for None."""
    if value is None:
        return "–"
    size = abs(value)
    if value == int(value) or size >= 1000:
        text = f"{size:,.0f}"
    elif size >= 0.001:
        text = f"{size:.4g}"
    else:
        text = f"{size:.2e}"
    return MINUS + text if value < 0 else text


def format_score(value: float | None) -> str:
    """A mean of whole games' scores, with one decimal below 1,000 so that a column of them lines up; "–" for None."""
    if value is None:
        return "–"
    text = f"{abs(value):,.1f}" if abs(value) < 999.95 else f"{abs(value):,.0f}"
    return MINUS + text if value < 0 and float(text.replace(",", "")) > 0 else text


def format_count(value: float | None) -> str:
    """A count in a few signs: 950, 12.5 k, 1.25 M; "–" for None."""
    if value is None:
        return "–"
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return format_number(value)


def format_percent(fraction: float | None) -> str:
    """0.1234 as 12 %, and one decimal below ten percent; "–" for None."""
    if fraction is None:
        return "–"
    percent = 100 * fraction
    text = f"{abs(percent):,.0f}" if abs(percent) >= 10 else f"{abs(percent):.1f}"
    return f"{MINUS if percent < 0 else ''}{text} %"


def format_interval(low: float | None, high: float | None) -> str:
    """[−20.5, −18.1]; empty where there is none."""
    return "" if low is None or high is None else f"[{format_score(low)}, {format_score(high)}]"


def format_hours(hours: float | None) -> str:
    """40 s below a minute, 7 min below an hour and a half, else 2.3 h; "–" for None."""
    if hours is None:
        return "–"
    if hours < 1 / 60:
        return f"{3600 * hours:.0f} s"
    return f"{60 * hours:.0f} min" if hours < 1.5 else f"{hours:,.1f} h"


def format_setting(value: Any) -> str:
    """A value as YAML writes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:_}" if abs(value) >= 100_000 else str(value)
    if isinstance(value, list):
        return "[" + ", ".join(format_setting(entry) for entry in value) + "]"
    return str(value)
