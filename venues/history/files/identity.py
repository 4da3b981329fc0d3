"""Whether the rows of a file are about what its name and folder say.

Every column that looks like an instrument, by its name or by what stands in it, is read by `instruments.py` and held
against the series the file is taken for. Columns that say the kind of market, the quote or the exchange are held
against it too. A row about anything else is refused, with the row and with what was expected.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from components.model.errors import Fault
from venues.history.files.cells import Cells
from venues.history.files.instruments import Instrument, kind_of, read_instrument, venue_of
from venues.history.files.read import Sheet, canonical

# What stands in these has to be an instrument; in the others it may be, and is checked where it is.
_INSTRUMENT = frozenset({
    "symbol", "sym", "instid", "instrument", "instrumentname", "instrumentid", "pair", "assetpair", "currencypair",
    "tradingpair", "ticker", "contract", "contractname", "contractcode", "contractid", "productid",
})  # fmt: skip
_MAYBE = frozenset({
    "market", "marketname", "marketid", "asset", "base", "baseasset", "basetoken", "basecurrency", "basecoin", "coin",
    "product", "underlying", "uly", "instfamily", "name", "crypto",
})  # fmt: skip
_QUOTE = frozenset({"quote", "quoteasset", "quotetoken", "quotecurrency", "quotecoin", "settle", "settlecoin",
                    "settlecurrency", "settleccy", "quoteccy", "marginasset", "margincoin", "marginccy"})  # fmt: skip
_KIND = frozenset({"datatype", "contracttype", "category", "insttype", "instrumenttype", "markettype", "producttype",
                   "type", "kind", "market"})  # fmt: skip
_VENUE = frozenset({"exchange", "venue", "source", "market"})
# An exchange that writes a suffix for everything but spot: there a bare pair is spot.
_BARE_PAIR_IS_SPOT = frozenset({"instid", "instrumentid"})


def foreign_rows(file: str, sheet: Sheet, expected: Instrument, used: frozenset[str]) -> list[Fault]:
    """Faults of rows about anything but `expected`; `used` are the columns that were read as stamps and values."""
    faults = []
    for name, cells in sheet.columns.items():
        if name in used:
            continue
        for cell, said in _statements(canonical(name), cells):
            if said is None or said.contradicts(expected):
                row = next(row for row, other in enumerate(cells, 1) if str(other) == cell)
                meant = "" if said is None else f" ({said})"
                fault = Fault(
                    where=f"{file} column {name} row {row}",
                    found=f"{cell!r}{meant}",
                    expected=f"rows of {expected} only",
                )
                faults.append(fault)
                break
    return faults


def foreign_token(file: str, sheet: Sheet, columns: tuple[str, ...], token: str) -> list[Fault]:
    """Faults of rows about another token than `token`, which may be written wrapped (`WETH`) or as a pair in USDT."""
    wanted = {canonical(name) for name in columns}
    allowed = {token.upper(), f"W{token.upper()}", f"{token.upper()}USDT"}
    faults = []
    for name, cells in sheet.columns.items():
        if canonical(name) not in wanted:
            continue
        for cell in dict.fromkeys(map(str, cells)):
            if cell.upper().replace("/", "").replace("-", "") not in allowed:
                row = next(row for row, other in enumerate(cells, 1) if str(other) == cell)
                where = f"{file} column {name} row {row}"
                faults.append(Fault(where=where, found=repr(cell), expected=f"rows of {token} only"))
                break
    return faults


def _statements(column: str, cells: Cells) -> Iterator[tuple[str, Instrument | None]]:
    """Each different cell of a column with what it says; None where it had to say something and cannot be read."""
    kinds = {
        "must": column in _INSTRUMENT,
        "may": column in _MAYBE,
        "quote": column in _QUOTE,
        "kind": column in _KIND,
        "venue": column in _VENUE,
    }
    if not any(kinds.values()):
        if not _looks_like_instruments(cells):
            return
        kinds["may"] = True
    for cell in dict.fromkeys(map(str, cells)):
        if not cell.strip() and not kinds["must"]:
            continue
        said = _said(column, cell, kinds)
        if said is not None or kinds["must"]:
            yield cell, said


def _said(column: str, cell: str, kinds: Mapping[str, bool]) -> Instrument | None:
    if (kinds["kind"] or kinds["must"]) and (kind := kind_of(cell)) is not None:
        return Instrument(None, kind=kind[0], margin=kind[1])
    if kinds["venue"] and (venue := venue_of(cell)) is not None:
        return Instrument(None, venue=venue)
    if kinds["quote"]:
        quote = cell.strip().upper()
        return Instrument(None, quote=quote) if quote.isalpha() and 3 <= len(quote) <= 5 else None
    if not (kinds["must"] or kinds["may"]):
        return None
    said = read_instrument(cell)
    if said is None:
        return None
    if kinds["may"] and not kinds["must"] and said.quote is None and said.coin not in _COINS:
        return None  # a word that could be any: only a coin that is known says something here
    bare = said.kind is None and said.quote is not None and "-" in cell
    if bare and column in _BARE_PAIR_IS_SPOT:
        return Instrument(said.coin, said.quote, "spot")
    return said


_COINS = frozenset({"BTC", "ETH", "WBTC", "WETH", "SOL", "XRP", "BNB", "DOGE", "ADA", "LTC", "LINK", "AVAX", "TRX"})


def _looks_like_instruments(cells: Cells) -> bool:
    """Whether a column of another name holds nothing but pairs or contracts; the first cells decide."""
    head = [str(cell) for cell in cells[:3]]
    said = [read_instrument(cell) for cell in head]
    return bool(head) and all(one is not None and one.quote in ("USDT", "USDC", "USD") for one in said)
