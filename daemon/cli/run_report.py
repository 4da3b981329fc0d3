"""A run in words and tables: what came of it, in a list, and beside others. Summaries in, text out."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.backtest.results.headline import TOO_SHORT, return_if_sold, told_of
from daemon.cli.output import flattened, money, percent, table_of, terminal_width, text_of

if TYPE_CHECKING:
    from daemon.backtest.results.summary import Summary

LISTED = ("run", "from", "to", "market", "capital", "return", "if sold", "fall", "trades")
COMPARED = (
    "mode", "market", "set", "share_class", "start", "end", "step_seconds", "initial_capital", "final_equity",
    "liquidation_value", "total_return", "return_if_sold", "annualised_return", "target_apy", "max_drawdown", "sharpe",
    "trades", "rejected", "liquidations", "stopped_at", "stopped_because", "left_open", "divergence_max", "flows",
    "min_health_factor", "min_margin_ratio", "external_flows", "residual_max",
)  # fmt: skip
FRACTIONS = ("total_return", "annualised_return", "target_apy", "max_drawdown", "return_if_sold")
FIGURE_WIDTH, RUN_WIDTH = 28, 22  # columns of a comparison


def in_words(summary: Summary, *, charts: bool, width: int | None = None) -> str:
    """What a run came to, as one would say it: at book value, and what is left when it is sold."""
    unit = summary.share_class
    verb = "made" if summary.total_return >= 0.0 else "lost"
    wide = width or terminal_width()
    head = (
        f"{summary.mode} {verb} {percent(abs(summary.total_return))} at book value{_yearly(summary)}{_sold(summary)},",
        f"from {summary.start[:10]} to {summary.end[:10]} ({summary.market}){_settings(summary)}.",
        *told_of(summary),
    )
    lines = [*(line for text in head for line in _wrapped(text, wide)), ""]
    earned = {name: value for name, value in (*summary.parts.items(), ("residual", summary.residual)) if value}
    earned["profit"] = summary.pnl
    told = {"at the start": summary.initial_capital} | earned
    told |= {name: value for name, value in (("paid in", summary.paid_in), ("paid out", -summary.paid_out)) if value}
    told["at the end"] = summary.final_equity
    told["if sold now"] = summary.liquidation_value
    figures = {
        name: f"{'+' if name in earned and value >= 0.0 else ''}{money(value, unit)}" for name, value in told.items()
    }
    left, right = max(map(len, figures)), max(map(len, figures.values()))
    lines += [f"  {name.replace('_', ' '):<{left}}  {figure:>{right}} {unit}" for name, figure in figures.items()]
    lines += ["", *(line for text in risk_in_words(summary) for line in _wrapped(text, wide, "  ")), ""]
    notes = (*summary.notes, *(f"left out: {reason}" for reason in summary.skipped))
    lines += [line for note in notes for line in _wrapped(note, wide, "  ")]
    lines += [f"  {summary.rows:,} rows at {summary.rows_per_second:,.0f} rows/s"]
    lines += [f"  results  {summary.out}"]
    if charts:
        lines += [f"  charts   {Path(summary.out, 'plots', 'index.html')}"]
    return "\n".join(lines)


def risk_in_words(summary: Summary) -> Iterator[str]:
    """The largest fall and the narrowest margins, and how often something was done."""
    found = [f"largest fall {percent(summary.max_drawdown)}"]
    if summary.sharpe is not None:
        found.append(f"Sharpe {summary.sharpe:.2f}")
    if summary.min_margin_ratio is not None:
        found.append(f"lowest margin ratio {summary.min_margin_ratio:.2f}")
    if summary.min_health_factor is not None:
        found.append(f"lowest health factor {summary.min_health_factor:.3f}")
    yield ", ".join(found)
    done = [counted(summary.trades, "trade"), counted(summary.liquidations, "liquidation")]
    yield ", ".join([*done, f"{summary.rejected:,} refused"] if summary.rejected else done)


def yearly(summary: Summary) -> str:
    """The return of a year, or why there is none to tell."""
    return TOO_SHORT if summary.too_short else percent(summary.annualised_return)


def listed(summaries: Sequence[Summary], width: int | None = None) -> str:
    """Which dates, market and settings made each run, and what came of it, at book value and sold.

    A line per run, and where that is too wide three.
    """
    if not summaries:
        return "nothing there"
    names = (*LISTED, "set") if any(summary.overrides for summary in summaries) else LISTED
    rows = [_cells(summary) for summary in summaries]
    wide = width or terminal_width()
    text = table_of(names, [[row[name] for name in names] for row in rows], width=10_000)
    if max(map(len, text.splitlines())) <= wide:
        return text
    return "\n".join(line for row in rows for line in _block(row, wide))


def _cells(summary: Summary) -> dict[str, str]:
    return {
        "run": summary.run_id + ("" if summary.stopped_at is None else " STOPPED"),
        "from": summary.start[:10],
        "to": summary.end[:10],
        "market": market_of(summary),
        "capital": f"{summary.initial_capital:,.15g} {summary.share_class}",
        "return": percent(summary.total_return),
        "if sold": percent(return_if_sold(summary)),
        "fall": percent(summary.max_drawdown),
        "trades": f"{summary.trades:,}",
        "set": "; ".join(summary.overrides) or "-",
    }


def _block(row: Mapping[str, str], width: int) -> Iterator[str]:
    settings = "" if row["set"] == "-" else f", {row['set']}"
    yield row["run"]
    told = (
        f"{row['from']} to {row['to']}, {row['capital']}, {row['market']}{settings}",
        f"return {row['return']}, if sold {row['if sold']}, largest fall {row['fall']}, {row['trades']} trades",
    )
    for line in told:
        yield from textwrap.wrap(line, width, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)


def market_of(summary: Summary) -> str:
    """The market in a word or two: the embedded one by seed and scenario, a folder by its name."""
    return summary.market.removeprefix("embedded market, ").replace("scenario ", "")


def compared(summaries: Sequence[Summary], width: int | None = None) -> str:
    """Figures side by side under letters, which the first lines resolve; what does not fit follows below."""
    wide = width or terminal_width()
    parts = list(dict.fromkeys(part for summary in summaries for part in summary.parts))
    named = [(chr(ord("A") + i) if i < 26 else f"R{i + 1}", summary) for i, summary in enumerate(summaries)]
    blocks = ["\n".join(f"{letter}  {summary.run_id}" for letter, summary in named)]
    beside = max((wide - FIGURE_WIDTH) // RUN_WIDTH, 1)
    for first in range(0, len(named), beside):
        some = named[first : first + beside]
        rows = [[name, *(shown(summary)[name] for _, summary in some)] for name in COMPARED]
        rows += [[f"parts.{part}", *(_part(summary, part) for _, summary in some)] for part in parts]
        blocks.append(table_of(("figure", *(letter for letter, _ in some)), rows, width=wide))
    return "\n\n".join(blocks)


def one(summary: Summary, width: int | None = None) -> str:
    """Everything of one run, a figure per line."""
    record = flattened({**record_of(summary), **shown(summary)})
    return table_of(("figure", summary.run_id), [[name, text_of(value)] for name, value in record.items()], width=width)


def record_of(summary: Summary) -> dict[str, Any]:
    """The summary as JSON and CSV have it."""
    import msgspec

    record: dict[str, Any] = msgspec.to_builtins(summary)
    return record


def shown(summary: Summary) -> dict[str, str]:
    """The figures of a run as people read them."""
    record = record_of(summary)
    record["return_if_sold"] = return_if_sold(summary)
    record["set"] = "; ".join(summary.overrides) or None
    out = {}
    for name in COMPARED:
        value = record[name]
        if name in FRACTIONS:
            out[name] = yearly(summary) if name == "annualised_return" else percent(value)
        elif isinstance(value, (list, tuple)):
            out[name] = "; ".join(map(str, value)) or "-"
        elif name == "divergence_max":
            out[name] = percent(value)
        elif name == "market":
            out[name] = market_of(summary)
        elif name in ("start", "end", "stopped_at"):
            out[name] = "-" if value is None else value[:16].replace("T", " ")
        elif name == "step_seconds":
            out[name] = f"{value / 60.0:g} min"
        elif name in ("initial_capital", "final_equity", "liquidation_value", "external_flows"):
            out[name] = money(value, summary.share_class)
        else:
            out[name] = text_of(value)
    return out


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """A sentence on as many lines as it needs; what follows the first is set in."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_on_hyphens=False,
        break_long_words=False,
    )


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _part(summary: Summary, part: str) -> str:
    return money(summary.parts.get(part), summary.share_class)


def _sold(summary: Summary) -> str:
    sold = return_if_sold(summary)
    return "" if sold is None else f", {percent(sold)} if sold at the end"


def _yearly(summary: Summary) -> str:
    told = yearly(summary)
    if told in ("-", TOO_SHORT):
        return "" if told == "-" else f" ({told})"
    expected = "" if summary.target_apy is None else f", {percent(summary.target_apy)} expected"
    return f" ({told} a year{expected})"


def _settings(summary: Summary) -> str:
    return f", with {'; '.join(summary.overrides)}" if summary.overrides else ""
