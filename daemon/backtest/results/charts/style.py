"""How charts look: one palette, one layout, units in the axis titles. Dark on light,
and on a dark screen light on dark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

INK, MUTED, GRID, ZERO, PAPER = "#1d2733", "#667383", "#e8ecf1", "#c5ced8", "#ffffff"
NARROW = 560  # pixels: a telephone
# What is drawn for light paper, on dark paper.
DARK = {
    INK: "#e6ebf1", MUTED: "#9aa7b5", GRID: "#27313d", ZERO: "#4a5866", PAPER: "#161c24", "#37424f": "#a9b7c6",
    "#f7f8fa": "#232c37", "#1f6feb": "#5b9bff", "#8a4fd3": "#b18af0", "#5c6f82": "#8ea2b6", "#11734d": "#2fae79",
    "#b3263c": "#d9485f", "#ec9aa5": "#7d3540", "#8fd0b4": "#2c6b50", "#d1344b": "#ff6b7d",
}  # fmt: skip
ACCENT, GOOD, WARNING, CRITICAL = "#1f6feb", "#1a9e6b", "#d98e04", "#d1344b"
FONT = "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
SERIES = ("#1f6feb", "#e07a1f", "#1a9e6b", "#8a4fd3", "#0f9aa8", "#c2439a", "#b5851b", "#5c6f82", "#7c9c2e", "#d1344b")
COLOURS = {
    "supply_yield": "#6aa84f",
    "staking_yield_oracle": "#0f9aa8",
    "staking_yield_rewards": "#7c9c2e",
    "funding": "#1f6feb",
    "basis": "#8a4fd3",
    "delta": "#d4b106",
    "dust": "#c2439a",
    "borrow_costs": "#e07a1f",
    "transaction_costs": "#5c6f82",
    "liquidation": "#d1344b",
    "residual": "#9aa5b1",
    "binance": "#e0a800",
    "bybit": "#e0601f",
    "okx": "#37424f",
    "usdt_hold": "#9aa5b1",
    "eth_hold": "#8a4fd3",
    "susde": "#0f9aa8",
}
NAMES = {
    "okx": "OKX",
    "usdt_hold": "Holding USDT",
    "eth_hold": "Holding ETH",
    "susde": "Holding sUSDe",
    "staking_yield_oracle": "Staking yield",
    "staking_yield_rewards": "Staking rewards",
}
# Losses red, gains green, nothing white: for heat maps around zero.
DIVERGING = [[0.0, "#b3263c"], [0.25, "#ec9aa5"], [0.5, "#f7f8fa"], [0.75, "#8fd0b4"], [1.0, "#11734d"]]

HOVER_TIME = "%d %b %Y %H:%M UTC"

Layout = dict[str, Any]


def layout(y_title: str, *, ticks: str = "", hover: str = "", **more: Any) -> Layout:
    """The layout of a chart over time with one value axis; `ticks` and `hover` are d3 formats."""
    base: Layout = {
        "font": {"family": FONT, "size": 12.5, "color": INK},
        "paper_bgcolor": PAPER,
        "plot_bgcolor": PAPER,
        "margin": {"l": 74, "r": 20, "t": 24, "b": 36},
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": PAPER, "bordercolor": ZERO, "font": {"family": FONT, "size": 12, "color": INK}},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.01, "yanchor": "bottom", "font": {"size": 12}},
        "showlegend": True,
        "colorway": list(SERIES),
        "xaxis": time_axis(),
        "yaxis": value_axis(y_title, ticks=ticks, hover=hover),
    }
    return {**base, **more}


def time_axis(**more: Any) -> Layout:
    axis = {"type": "date", "gridcolor": GRID, "linecolor": ZERO, "zeroline": False, "hoverformat": HOVER_TIME}
    return {**axis, **more}


def month_axis() -> Layout:
    return time_axis(hoverformat="%B %Y", tickformat="%b\n%Y")


def value_axis(title: str, *, ticks: str = "", hover: str = "", **more: Any) -> Layout:
    axis = {
        "title": {"text": title, "font": {"size": 12, "color": MUTED}, "standoff": 8},
        "gridcolor": GRID,
        "zerolinecolor": ZERO,
        "zerolinewidth": 1.2,
        "tickformat": ticks,
        "hoverformat": hover or ticks,
    }
    return {**axis, **more}


def with_level(base: Layout, value: float, text: str, colour: str, axis: str = "y") -> Layout:
    """`base` with a dashed horizontal line and its name at the right."""
    shape = {
        "type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": axis, "y0": value, "y1": value,
        "line": {"color": colour, "width": 1.2, "dash": "dash"},
    }  # fmt: skip
    note = {
        "xref": "paper", "x": 1, "xanchor": "right", "yref": axis, "y": value, "yanchor": "bottom",
        "text": f"{text} {value:.4g}", "showarrow": False, "font": {"size": 11, "color": colour},
    }  # fmt: skip
    return {
        **base,
        "shapes": [*base.get("shapes", []), shape],
        "annotations": [*base.get("annotations", []), note],
    }


def stacked(base: Layout, upper: Layout, lower: Layout, *, split: float = 0.36) -> Layout:
    """Two value axes one above the other over the same time axis; the lower one is `y2`."""
    return {
        **base,
        "xaxis": time_axis(anchor="y2"),
        "yaxis": {**upper, "domain": [split, 1.0]},
        "yaxis2": {**lower, "domain": [0.0, split - 0.08]},
    }


def colour_of(name: str, i: int, colours: Mapping[str, str] = COLOURS) -> str:
    return colours.get(name, SERIES[i % len(SERIES)])


def title_of(name: str) -> str:
    """A name from code as words for people; what has capitals already stays as it is."""
    if name in NAMES:
        return NAMES[name]
    words = name.replace("_", " ")
    return words if any(char.isupper() for char in words) else words.capitalize()
