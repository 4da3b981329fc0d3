"""Which metrics a PromQL expression reads."""

from __future__ import annotations

import re

_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"')
_NAME = re.compile(r"\b(?:basis_|process_)[a-z0-9_]+\b|\bup\b")


def metric_names(expr: str) -> set[str]:
    """Names in an expression; those inside label values are none."""
    return set(_NAME.findall(_STRINGS.sub('""', expr)))
