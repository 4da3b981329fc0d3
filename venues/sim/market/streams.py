"""Random numbers by name, and the recursion most processes are made of.

Every process draws from streams of its own, one per quantity, so a series depends neither on which others are asked for
nor on how long the span is: draws are taken in time order and a longer span only takes more of them.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np

from components.model.market import Column


def stream(seed: int, name: str) -> np.random.Generator:
    """The generator of one named quantity. Take all draws of it in one call: a second call would begin elsewhere."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, crc32(name.encode())])))


def normals(seed: int, name: str, count: int) -> Column:
    """`count` standard normal draws."""
    return stream(seed, name).standard_normal(count)


def uniforms(seed: int, name: str, count: int) -> Column:
    """`count` uniform draws in [0, 1)."""
    return stream(seed, name).random(count)


def persistence(half_life: float) -> float:
    """The factor per step at which half is left after `half_life` steps."""
    return float(0.5 ** (1.0 / half_life))


def autoregress(shocks: Column, factor: float, start: float = 0.0) -> Column:
    """`x[t] = factor × x[t−1] + shocks[t]`, from x[−1] = `start`; blocks of cumulative sums, no loop over rows.

    A block ends where `factor ** n` would fall below 1e-6, which bounds the loss of digits and keeps block borders
    independent of the length.
    """
    out = np.empty_like(shocks)
    block = max(1, int(np.log(1e6) / -np.log(factor)))
    powers = factor ** np.arange(1, min(block, len(shocks)) + 1)
    last = start
    for begin in range(0, len(shocks), block):
        part = shocks[begin : begin + block]
        scale = powers[: len(part)]
        out[begin : begin + block] = scale * (np.cumsum(part / scale) + last)
        last = float(out[min(begin + block, len(shocks)) - 1])
    return out


def wandering(seed: int, name: str, count: int, *, factor: float, sd: float) -> Column:
    """An autoregression around 0 of stationary standard deviation `sd`, begun at 0."""
    return autoregress(normals(seed, name, count) * (sd * np.sqrt(1.0 - factor * factor)), factor)
