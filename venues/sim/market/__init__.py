"""A seeded synthetic market, calibrated on two years of real data: the embedded default of the product."""

from venues.sim.market.defects import DEFECTS
from venues.sim.market.generate import Continued, generate
from venues.sim.market.stress import SCENARIOS
from venues.sim.market.tree import write_tree

__all__ = ["DEFECTS", "SCENARIOS", "Continued", "generate", "write_tree"]
