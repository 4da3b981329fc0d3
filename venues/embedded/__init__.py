"""A seeded synthetic market, calibrated on two years of real data: the embedded default of the product."""

from venues.embedded.defects import DEFECTS
from venues.embedded.generate import Continued, generate
from venues.embedded.stress import SCENARIOS
from venues.embedded.tree import write_tree

__all__ = ["DEFECTS", "SCENARIOS", "Continued", "generate", "write_tree"]
