"""How charts look: every colour has its counterpart on dark paper, every name is for people."""

from __future__ import annotations

import re

import pytest

from components.pnl_monitor import PARTS
from daemon.backtest.results.charts import style


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255.0 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("colour", [style.INK, style.MUTED])
def test_words_can_be_read_on_either_paper(colour: str) -> None:
    assert contrast(colour, style.PAPER) >= 4.5
    assert contrast(style.DARK[colour], style.DARK[style.PAPER]) >= 4.5


@pytest.mark.parametrize("name", [*PARTS, *style.COLOURS])
def test_a_line_can_be_seen_on_either_paper(name: str) -> None:
    colour = style.colour_of(name, 0)
    assert re.fullmatch("#[0-9a-f]{6}", colour), "the page swaps colours by their text"
    assert contrast(colour, style.PAPER) >= 1.7
    assert contrast(style.DARK.get(colour, colour), style.DARK[style.PAPER]) >= 1.7


def test_what_has_no_colour_of_its_own_takes_the_next_one() -> None:
    assert style.colour_of("nobody", 0) == style.SERIES[0]
    assert style.colour_of("nobody", len(style.SERIES)) == style.SERIES[0]


@pytest.mark.parametrize(
    ("code", "words"), [("okx", "OKX"), ("supply_yield", "Supply yield"), ("binance", "Binance"), ("wstETH", "wstETH")]
)
def test_names_are_words(code: str, words: str) -> None:
    assert style.title_of(code) == words


def test_a_level_is_added_to_what_is_there() -> None:
    base = style.layout("Ratio")
    one = style.with_level(base, 0.5, "warning", style.WARNING)
    two = style.with_level(one, 0.25, "critical", style.CRITICAL, "y2")
    assert [shape["y0"] for shape in two["shapes"]] == [0.5, 0.25]
    assert [note["text"] for note in two["annotations"]] == ["warning 0.5", "critical 0.25"]
    assert "shapes" not in base, "what was there is not changed"


def test_two_axes_share_a_time_and_no_space() -> None:
    two = style.stacked(style.layout(""), style.value_axis("above"), style.value_axis("below"))
    (low, high), (bottom, top) = two["yaxis"]["domain"], two["yaxis2"]["domain"]
    assert 0.0 == bottom < top < low < high == 1.0
