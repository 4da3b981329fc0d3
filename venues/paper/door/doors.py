"""The doors of a simulated account: one client per exchange of its run, and one for the chain."""

from __future__ import annotations

from collections.abc import Mapping

from components.model.keys import VenueName
from venues.clock import Clock
from venues.paper.account import CHAIN, PaperAccount
from venues.paper.chain.door import PaperChainVenue
from venues.paper.door.door import PaperVenue
from venues.paper.door.faults import FaultPlan
from venues.paper.door.passage import Profile


def door(
    name: VenueName,
    account: PaperAccount,
    clock: Clock,
    plan: FaultPlan,
    *,
    seed: int = 0,
    profile: Profile | None = None,
    speed: float = 1.0,
) -> PaperVenue:
    """The client of one door; `speed` is that of the clock, for what takes a stretch of market time."""
    if name == CHAIN:
        return PaperChainVenue(account, clock, plan, seed=seed, profile=profile, speed=speed)
    return PaperVenue(name, account, clock, plan, seed=seed, profile=profile)


def doors(
    account: PaperAccount,
    clock: Clock,
    plan: FaultPlan | None = None,
    *,
    seed: int = 0,
    profiles: Mapping[str, Profile] | None = None,
    speed: float = 1.0,
) -> dict[str, PaperVenue]:
    """A client for every door of an account: the exchanges of its run, and `chain`."""
    shared = plan or FaultPlan()
    named = profiles or {}
    return {
        name: door(name, account, clock, shared, seed=seed, profile=named.get(name), speed=speed)
        for name in account.doors
    }
