"""Numbers as people read them."""

import math

from al_plugin.math.outcomes import Share

MINUS = "−"


def count(value: float) -> str:
    """A whole number with thousands apart."""
    return f"{value:,.0f}".replace("-", MINUS)


def number(value: float | None, digits: int = 3) -> str:
    """A number to some significant digits, a dash for none."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    text = (
        f"{value:.{digits}g}"
        if abs(value) < 1e-3 or abs(value) >= 1e5
        else f"{value:.{max(0, digits - _whole(value))}f}"
    )
    return text.replace("-", MINUS)


def metric(value: float | None) -> str:
    """Three decimals, a dash for none."""
    return "–" if value is None else f"{value:.3f}".replace("-", MINUS)


def signed(value: float) -> str:
    """With its sign, three decimals."""
    return f"{value:+.3f}".replace("-", MINUS)


def percent(value: float | None, digits: int = 1) -> str:
    """A share in percent."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def interval(low: float, high: float) -> str:
    """Bounds of an interval, three decimals."""
    return f"[{low:.3f}, {high:.3f}]".replace("-", MINUS)


def share(value: Share) -> str:
    """A share with its interval."""
    return "–" if value.value is None else f"{value.value:.3f} {interval(value.low, value.high)}"


def _whole(value: float) -> int:
    return max(1, len(str(int(abs(value)))))
