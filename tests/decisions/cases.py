"""One replay as somebody would type it: what a campaign plays, and what an offender is reported by."""

from __future__ import annotations

import shlex

import msgspec

from daemon.backtest.request import RequestTexts

DATA_SHOWN = "../shared/data"


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A run; `seed` None plays the real history. `flows` and `overrides` are in the words of the command line."""

    mode: str
    start: str
    end: str
    capital: float
    seed: int | None = 7
    scenario: str = "calm"
    step: str = "1h"
    overrides: tuple[str, ...] = ()
    flows: tuple[str, ...] = ()

    @property
    def is_calm(self) -> bool:
        return self.scenario == "calm"

    def texts(self, data: str) -> RequestTexts:
        real = self.seed is None
        return RequestTexts(
            mode=self.mode,
            start=self.start,
            end=self.end,
            capital=format(self.capital, ".12g"),
            step=self.step,
            data=data if real else None,
            seed=None if real else str(self.seed),
            scenario=None if real else self.scenario,
            flows=self.flows,
            overrides=self.overrides,
        )

    def command(self) -> str:
        """The line that plays this very run."""
        words = ["basis", "backtest", "run", self.mode, "--start", self.start, "--end", self.end]
        words += ["--capital", format(self.capital, ".12g")]
        if self.step != "1h":
            words += ["--step", self.step]
        if self.seed is None:
            words += ["--data", DATA_SHOWN]
        else:
            words += ["--seed", str(self.seed)]
            words += [] if self.is_calm else ["--scenario", self.scenario]
        for flow in self.flows:
            words += ["--flow", flow]
        for override in self.overrides:
            words += ["--set", override]
        return shlex.join([*words, "--no-charts"])
