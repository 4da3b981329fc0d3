"""Five levels of validation, in one go: schema, business rules, mode rules, data availability, consistency of files.

A fault of one level hides only the rules that need the faulty key, so an operator sees all there is to correct at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from components.config.assembly import assembled
from components.config.availability import requirement_problems, subscription_problems
from components.config.consistency import Venues, mode_problems, venue_problems
from components.config.documents import Bundle, Document, located, shown
from components.config.reading import is_known, read
from components.config.rules import (
    BUSINESS_RULES,
    MODE_RULES,
    broken,
    share_class_problems,
)
from components.config.schema import VENUE_KINDS, ExchangeFile, LendingFile, ModeFile, ShareClassFile, VenueFile
from components.config.venue_rules import EXCHANGE_RULES, LENDING_RULES
from components.model.errors import CFG_INVALID, Fault, InvalidInput, nearest_name
from components.model.slices import RunSlice


def build_run(bundle: Bundle) -> RunSlice:
    """The configuration of a run; InvalidInput with every fault of every file otherwise."""
    faults: list[Fault] = list(bundle.faults)
    venues = Venues(_read_venues(bundle.venues, faults), bundle.venues)
    share_classes = _read_share_classes(bundle.share_classes, faults)
    mode: ModeFile | None = None
    if bundle.mode is not None:
        mode, found = read(ModeFile, bundle.mode)
        faults += found
        faults += _mode_faults(bundle, bundle.mode, mode, venues, share_classes)
    if faults or mode is None:
        raise InvalidInput(CFG_INVALID, dict.fromkeys(faults))
    return assembled(mode, share_classes[mode.share_class], venues)


def _read_venues(documents: Mapping[str, Document], faults: list[Fault]) -> dict[str, VenueFile]:
    files: dict[str, VenueFile] = {}
    for name, document in sorted(documents.items()):
        kind = document.content.get("kind") if isinstance(document.content, Mapping) else None
        model = VENUE_KINDS.get(kind) if isinstance(kind, str) else None
        if model is None:
            faults.append(
                document.fault(
                    "kind", shown(kind), f"one of {', '.join(VENUE_KINDS)}", nearest_name(str(kind), VENUE_KINDS)
                )
            )
            continue
        file, found = read(model, document)
        faults += found
        faults += _name_faults(document, "venue", getattr(file, "venue", name), name)
        if isinstance(file, ExchangeFile):
            faults += located(document, broken(EXCHANGE_RULES, file))
        if isinstance(file, LendingFile):
            faults += located(document, broken(LENDING_RULES, file))
        files[name] = file
    faults += [
        document.fault(p.path, p.found, p.expected, p.nearest)
        for document, p in venue_problems(Venues(files, documents))
    ]
    return files


def _read_share_classes(documents: Mapping[str, Document], faults: list[Fault]) -> dict[str, ShareClassFile]:
    """Whole share classes by their currency."""
    classes: dict[str, ShareClassFile] = {}
    for name, document in sorted(documents.items()):
        file, found = read(ShareClassFile, document)
        faults += found
        faults += _name_faults(document, "name", getattr(file, "name", name), name)
        if not found and file.currency in classes:
            faults.append(document.fault("currency", shown(file.currency), "one share class per currency"))
        elif not found:
            classes[file.currency] = file
    return classes


def _mode_faults(
    bundle: Bundle, document: Document, mode: ModeFile, venues: Venues, share_classes: Mapping[str, ShareClassFile]
) -> Iterator[Fault]:
    has_faulty_class = len(share_classes) < len(bundle.share_classes)
    if is_known(mode, "mode"):
        yield from _name_faults(document, "mode", mode.mode, bundle.mode_name)
    yield from located(document, broken(BUSINESS_RULES, mode))
    yield from located(document, broken(MODE_RULES, mode))
    if is_known(mode, "share_class"):
        share_class = share_classes.get(mode.share_class)
        if share_class is not None:
            yield from located(document, share_class_problems(mode, share_class))
        elif not has_faulty_class:
            yield document.fault(
                "share_class", shown(mode.share_class), "the currency of a file in configs/share_classes"
            )
    if all(is_known(mode, key) for key in ("asset", "lst_type", "hedge_allocation")):
        if is_known(mode, "data_requirements"):
            yield from located(document, requirement_problems(mode, venues.kinds))
        if is_known(mode, "position_subscriptions"):
            yield from located(document, subscription_problems(mode, venues.kinds))
    yield from located(document, mode_problems(mode, venues))


def _name_faults(document: Document, key: str, found: str, expected: str) -> Iterator[Fault]:
    if found != expected:
        yield document.fault(key, shown(found), f"{expected!r}, the name of the file")
