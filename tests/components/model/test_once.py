"""Once: worked out when first asked for, and only then; each object keeps its own."""

from __future__ import annotations

import msgspec

from components.model.once import once

asked: list[float] = []


class Side(msgspec.Struct, frozen=True, dict=True):
    length: float

    @once
    def area(self) -> float:
        """Of a square."""
        asked.append(self.length)
        return self.length**2


def test_a_fact_is_worked_out_once_for_each_object_and_not_before_it_is_asked_for() -> None:
    asked.clear()
    two, three = Side(2.0), Side(3.0)
    assert asked == []
    assert (two.area, two.area, three.area) == (4.0, 4.0, 9.0)
    assert asked == [2.0, 3.0]


def test_what_was_worked_out_is_no_part_of_the_fact_nor_of_one_made_from_it() -> None:
    two = Side(2.0)
    assert two.area == 4.0
    assert two == Side(2.0)
    assert msgspec.structs.replace(two, length=5.0).area == 25.0


def test_it_keeps_its_description() -> None:
    assert Side.area.__doc__ == "Of a square."
