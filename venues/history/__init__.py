"""History as a venue one can only read: files of a data folder → a market, or a refusal that names every fault."""

from venues.history.coverage import CoverageReport, SeriesCoverage
from venues.history.files.catalogue import Holding, Ignored, available
from venues.history.loader import UnusableData, coverage, load
from venues.history.parameters import validate_margin_parameters

__all__ = [
    "CoverageReport",
    "Holding",
    "Ignored",
    "SeriesCoverage",
    "UnusableData",
    "available",
    "coverage",
    "load",
    "validate_margin_parameters",
]
