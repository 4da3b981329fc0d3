"""What SIGHUP may change: the difference of two valid configurations, and whether all of it may happen while running.

Reloadable are limits, thresholds, intervals and the log level: what is in force from the next step on. Everything else
makes a strategy another strategy, needs what is opened at start, or does nothing in a daemon (`max_age_steps`,
`target_apy`); then nothing at all is taken over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

import msgspec

from components.model.errors import CFG_INVALID, Fault, InvalidInput
from daemon.config.daemon_file import DaemonSlice

THRESHOLDS = (
    "position_deviation_threshold",
    "max_delta_drift",
    "margin_ratio_band.*",
    "dust_threshold",
    "minimum_trade_usdt",
    "gas_debt_limit",
    "divergence_alarm.*",
    "break_even_days",
    "time_throttle_interval",
    "on_stop",
    "risk.*",
)
RELOADABLE = (
    "limits.*",
    "log.level",
    "strategies.*.restart.*",
    "strategies.*.on_failure",
    "strategies.*.venues.*.max_trade_usdt",
    *(f"strategies.*.{key}" for key in THRESHOLDS),
)


class Reload(msgspec.Struct, frozen=True, kw_only=True):
    """`changes`: old and new value (JSON) by key, empty when there is a fault. Keys of a strategy begin with its id,
    `strategies.<id>.`, and go on with the path of an override."""

    changes: Mapping[str, tuple[str, str]]
    faults: tuple[Fault, ...]

    def of(self, strategy: str) -> dict[str, tuple[str, str]]:
        """What concerns one strategy: its own keys and those of the daemon."""
        own = f"strategies.{strategy}."
        return {
            key: change
            for key, change in self.changes.items()
            if key.startswith(own) or key.split(".")[0] != "strategies"
        }

    def checked(self) -> Reload:
        """This, or InvalidInput CFG-001 with all faults."""
        if self.faults:
            raise InvalidInput(CFG_INVALID, self.faults)
        return self


def reload(old: DaemonSlice, new: DaemonSlice) -> Reload:
    """The way from `old` to `new`; with a fault anywhere there is none, and `old` stays in force whole."""
    faults = list(_membership_faults(old, new))
    before, after = _leaves(old), _leaves(new)
    kept = {entry.id for entry in old.strategies} & {entry.id for entry in new.strategies}
    changes: dict[str, tuple[str, str]] = {}
    for key in sorted(before.keys() | after.keys()):
        was, is_now = before.get(key, "nothing"), after.get(key, "nothing")
        if was == is_now or (key.startswith("strategies.") and key.split(".")[1] not in kept):
            continue
        if not any(fnmatchcase(key, pattern) for pattern in RELOADABLE):
            faults.append(Fault(where=key, found=is_now, expected=f"{was}, as at start; changing this needs a restart"))
        changes[key] = (was, is_now)
    return Reload(changes={} if faults else changes, faults=tuple(faults))


def _membership_faults(old: DaemonSlice, new: DaemonSlice) -> Iterator[Fault]:
    before, after = [entry.id for entry in old.strategies], [entry.id for entry in new.strategies]
    for name in before:
        if name not in after:
            expected = f"it to stay; 'basis stop {name} --positions close', then restart the daemon without it"
            yield Fault(where=f"strategies.{name}", found="removed", expected=expected)
    for name in after:
        if name not in before:
            yield Fault(
                where=f"strategies.{name}", found="a new strategy", expected="those at start; restart to add one"
            )


def _leaves(config: DaemonSlice) -> dict[str, str]:
    """Every value as JSON under its path; the mode's keys stand directly under their strategy."""
    tree = msgspec.to_builtins(config)
    del tree["config_hash"]
    for entry in tree.pop("strategies"):
        run = entry.pop("run")
        del run["config_hash"]
        name = entry.pop("id")
        mode_keys = {key: value for key, value in run["mode"].items() if key != "mode"}
        tree[f"strategies.{name}"] = {
            **entry,
            **mode_keys,
            "venues": run["exchanges"],
            "chain": run["chain"],
            "share_class_terms": run["share_class"],
        }
    return dict(_flat(tree, ""))


def _flat(tree: Mapping[str, object], before: str) -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", msgspec.json.encode(value, order="deterministic").decode()
