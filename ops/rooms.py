"""The picture of the rooms, drawn from the import contracts in `pyproject.toml` and from nothing else.

`python -m ops.rooms` writes `docs/images/rooms.svg` and the table of rooms in `docs/architecture.md`; `--check`
compares and exits 1 when one of them is out of date.

A contract allows no more than is imported (`ops.room_contract`), so an arrow that is drawn is one that is there. Of
arrows only those are drawn that no longer way implies.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from textwrap import wrap

ROOT = Path(__file__).resolve().parent.parent
PICTURE, PAGE = ROOT / "docs" / "images" / "rooms.svg", ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- rooms: written by `python -m ops.rooms` -->", "<!-- end of rooms -->"
WIDTH, BOX, HIGH, ROW, TOP = 1080, 330, 62, 104, 20  # pixels
LAYERS = "a room of the daemon imports only rooms below it"


@dataclass(frozen=True)
class Room:
    name: str
    why: str
    may_import: tuple[str, ...]  # as the contract has it

    def rooms(self, known: Sequence[str]) -> set[str]:
        """Rooms of the daemon it imports."""
        found = {name.split(".")[1] for name in self.may_import if name.startswith("daemon.")}
        return found & set(known)


def rooms() -> tuple[list[list[str]], dict[str, Room]]:
    """Layers from the top, and the rooms by name."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    (layers,) = (each["layers"] for each in contracts if each["name"] == LAYERS)
    found = {}
    for each in contracts:
        if each["type"] == "room":
            name, _, why = each["name"].partition(": ")
            found[name] = Room(name, why, tuple(each.get("may_import", ())))
    return [layer.split(" | ") for layer in layers], found


def arrows(known: Mapping[str, Room]) -> list[tuple[str, str]]:
    """From room to room, without those that a longer way implies."""
    direct = {name: room.rooms(tuple(known)) for name, room in known.items()}

    def below(name: str) -> set[str]:
        return direct[name].union(*(below(each) for each in direct[name]))

    return [
        (name, each)
        for name in known
        for each in sorted(direct[name])
        if not any(each in below(other) for other in direct[name] - {each})
    ]


def table(known: Mapping[str, Room]) -> Iterator[str]:
    """The rooms as a page says them."""
    yield "| room | what lives there | imports of the daemon | of venues and the core |"
    yield "| --- | --- | --- | --- |"
    for room in known.values():
        ours = [name.removeprefix("daemon.") for name in room.may_import if name.startswith("daemon.")]
        others = [name.removeprefix("components.") for name in room.may_import if not name.startswith("daemon.")]
        yield f"| `{room.name}` | {room.why} | {', '.join(ours) or '–'} | {', '.join(others) or '–'} |"


def picture(layers: Sequence[Sequence[str]], known: Mapping[str, Room]) -> str:
    """The rooms in their layers, as SVG."""
    places = {
        name: (WIDTH / 2 + (column - (len(layer) - 1) / 2) * (BOX + 130 if name in known else 150), TOP + row * ROW)
        for row, layer in enumerate(layers)
        for column, name in enumerate(layer)
    }
    high = TOP + len(layers) * ROW
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {high}" '
        'font-family="sans-serif" font-size="12">',
        "<!-- Written by `python -m ops.rooms` from the import contracts. -->",
        f'<rect width="{WIDTH}" height="{high}" fill="#ffffff"/>',
        '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">',
        '<path d="M0,0 L8,4 L0,8 z" fill="#7a8794"/></marker>',
    ]
    for above, under in arrows(known):
        (x, y), (to_x, to_y) = places[above], places[under]
        skipped = round((to_y - y) / ROW) - 1
        side = 1 if to_x > x or (to_x == x and skipped % 2) else -1
        bend = side * (BOX / 2 + 60 * skipped + (90 if to_x == x else 0)) if skipped else 0.0
        lines.append(
            f'<path d="M{x:.0f},{y + HIGH:.0f} C{x + bend:.0f},{y + HIGH + 40:.0f} {to_x + bend:.0f},{to_y - 40:.0f} '
            f'{to_x:.0f},{to_y:.0f}" fill="none" stroke="#7a8794" stroke-width="1.2" marker-end="url(#tip)"/>'
        )
    for name, (x, y) in places.items():
        wide = BOX if name in known else 120
        lines.append(
            f'<rect x="{x - wide / 2:.0f}" y="{y:.0f}" width="{wide}" height="{HIGH}" rx="6" '
            'fill="#eef3f8" stroke="#44617b"/>'
        )
        text = f'<text x="{x:.0f}" y="{y + 19:.0f}" text-anchor="middle"'
        lines.append(f'{text} font-weight="bold" fill="#1d2b38">{name}</text>')
        why = wrap(known[name].why, 52)[:2] if name in known else ["words that all share"]
        for number, line in enumerate(why):
            lines.append(
                f'<text x="{x:.0f}" y="{y + 36 + 15 * number:.0f}" text-anchor="middle" fill="#44505c">'
                f"{escape(line)}</text>"
            )
    return "\n".join([*lines, "</svg>", ""])


def page(text: str, known: Mapping[str, Room]) -> str:
    """The page with the table of now."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return "\n".join([before + BEGIN, "", *table(known), "", END + after])


def main(arguments: list[str]) -> int:
    layers, known = rooms()
    wanted = {PICTURE: picture(layers, known), PAGE: page(PAGE.read_text("utf-8"), known)}
    stale = [path for path, text in wanted.items() if not path.is_file() or path.read_text("utf-8") != text]
    if "--check" not in arguments:
        for path in stale:
            path.write_text(wanted[path], "utf-8")
    for path in stale:
        print(f"{path.relative_to(ROOT)}: " + ("out of date" if "--check" in arguments else "written"))
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
