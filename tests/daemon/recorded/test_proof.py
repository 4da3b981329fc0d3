"""A recorded run repeats, whatever happened in it; what was altered, or made by other code, does not pass for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from components.model.errors import Refuse
from components.model.orders import Trade, Verb
from components.model.slices import PriceCaps
from daemon.config.daemon_file import DaemonSlice
from daemon.journal.codec import decode, encode
from daemon.journal.journal import Journal
from daemon.journal.pruning import plan, prune
from daemon.journal.reader import Located
from daemon.journal.records import Answer, Intent, Manifest, Outcome, Record, StepEnd
from daemon.process.daemon import Daemon
from daemon.recorded.proof import Result, prove, what_would_change
from daemon.state.disk import RealDisk
from tests.daemon.house import BTC, House, ticked
from tests.daemon.recordings import eventful, journal_with


def recorded() -> list[Record]:
    return list(eventful()[1])


def fill(records: list[Record], *, after: int = 0) -> int:
    """The first answer at or behind `after` in which something was filled."""
    for i in range(after, len(records)):
        record = records[i]
        if not (isinstance(record, Answer) and record.port == "execute" and record.value):
            continue
        if any(trade.quantity for trade in decode(record.value, tuple[Trade, ...])):
            return i
    raise AssertionError("nothing was filled")


def test_an_eventful_run_repeats(tmp_path: Path) -> None:
    result = prove(journal_with(recorded(), tmp_path))
    assert result.identical, result.in_words()
    assert result.epochs >= 3
    assert result.reloads == 1
    assert result.aborted >= 1
    assert result.in_words().startswith(f"identical: {result.steps} steps in {result.epochs} epoch(s)")


def test_one_altered_fill_is_found_where_it_is(tmp_path: Path) -> None:
    records = recorded()
    i = fill(records)
    answer = records[i]
    assert isinstance(answer, Answer)
    trades = decode(answer.value, tuple[Trade, ...])
    more = {key: change * (1.0 + 1e-7) for key, change in trades[0].changes.items()}
    records[i] = structs.replace(answer, value=encode((structs.replace(trades[0], changes=more), *trades[1:])))
    result = prove(journal_with(records, tmp_path))
    assert not result.identical
    (difference,) = result.differences
    assert difference.tick == answer.tick
    told = result.in_words().splitlines()
    assert told[0].startswith("different: ")
    assert f"tick {answer.tick} at 20" in told[1]
    assert [line.split()[0] for line in told[2:4]] == ["recorded", "replayed"]


def test_an_altered_state_is_found(tmp_path: Path) -> None:
    records = recorded()
    i = next(i for i, record in enumerate(records) if isinstance(record, StepEnd) and record.tick >= 0)
    records[i] = structs.replace(records[i], state_hash="0" * 64)  # type: ignore[type-var]
    result = prove(journal_with(records, tmp_path))
    assert [difference.what for difference in result.differences] == ["the state after the step"]


def test_an_epoch_that_starts_from_another_state_is_found(tmp_path: Path) -> None:
    records = recorded()
    checkpoints = [i for i, r in enumerate(records) if isinstance(r, StepEnd) and r.tick == -1]
    records[checkpoints[1]] = structs.replace(records[checkpoints[1]], state=records[checkpoints[0]].state)  # type: ignore
    result = prove(journal_with(records, tmp_path))
    assert [difference.what for difference in result.differences] == ["the state an epoch starts from"]


def test_what_other_code_recorded_is_refused_and_named(tmp_path: Path) -> None:
    records = [
        structs.replace(record, code_hash="f" * 64, version="0.9.1") if isinstance(record, Manifest) else record
        for record in recorded()
    ]
    with pytest.raises(Refuse, match=r"version 0\.9\.1, code ffffffffffff") as caught:
        prove(journal_with(records, tmp_path))
    assert caught.value.code == "EVT-022"


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refuse) as caught:
        prove(tmp_path / "nothing")
    assert caught.value.code == "EVT-023"


def test_the_rest_of_a_pruned_journal_repeats(tmp_path: Path) -> None:
    folder = tmp_path / BTC / "journal"
    folder.mkdir(parents=True)
    journal = Journal.open(folder, RealDisk(), name=BTC, now=lambda: 0, rotate_bytes=40_000)
    for record in recorded():
        journal.append(record)
        journal.flush(0.0, anchor=True)
    journal.shut()
    whole = prove(folder)
    here = Located(BTC, folder)
    found = plan(RealDisk(), here, keep_days=0.0)
    assert found.segments
    prune(RealDisk(), here, found, tmp_path / "old")
    rest = prove(folder)
    assert whole.before == 0
    assert rest.before >= found.segments[-1].last
    assert f"records 1 to {rest.before:,} were pruned and are not part of this" in rest.in_words()
    assert rest.identical, rest.in_words()
    assert 0 < rest.steps < whole.steps
    assert rest.state_hash == whole.state_hash


def test_what_if_needs_a_configuration_that_has_the_strategy(tmp_path: Path) -> None:
    packaged = Path(__file__).parents[3] / "configs" / "paper.yaml"
    config = tmp_path / "paper.yaml"
    config.write_text(packaged.read_text(encoding="utf-8").replace("id: btc-basis", "id: another"), encoding="utf-8")
    folder = journal_with(recorded(), tmp_path)
    assert what_would_change(folder, packaged).what_if
    with pytest.raises(Refuse, match="has no strategy 'btc-basis'"):
        what_would_change(folder, config)


def test_what_if_with_another_target_names_every_decision(tmp_path: Path) -> None:
    import daemon.recorded.proof as module

    run, _ = eventful()
    mode = structs.replace(run.mode, margin_ratio_target=1.5)
    other = structs.replace(run, mode=mode)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_run_of", lambda strategy, recorded, path: other)
        result: Result = what_would_change(journal_with(recorded(), tmp_path), None)
    assert not result.identical
    assert len(result.differences) >= 2, "one difference does not hide the next"
    assert {difference.what for difference in result.differences} != {"the state after the step"}


def test_a_run_whose_orders_found_less_than_they_asked_for_repeats(tmp_path: Path) -> None:
    """Limits are made from the recorded rows again, and what expired is answered from the journal."""

    def tight(config: DaemonSlice) -> DaemonSlice:
        (entry,) = config.strategies
        caps = PriceCaps(order=1.2, emergency=(0.2, 1.0))
        run = structs.replace(entry.run, mode=structs.replace(entry.run.mode, price_caps=caps))
        return structs.replace(config, strategies=(structs.replace(entry, run=run),))

    house = House(tmp_path / "house", BTC, changed=tight)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 4)

    house.live(play)
    records = house.records(BTC)
    orders = {order.id: order for each in records if isinstance(each, Intent) for order in each.group.orders}
    outcomes = [each.trade for each in records if isinstance(each, Outcome) and each.trade is not None]
    assert any(trade.expired and trade.quantity for trade in outcomes)
    for trade in outcomes:
        if trade.verb is Verb.SPOT and trade.quantity:
            limit = orders[trade.order_id].limit_price
            assert limit is not None and trade.price is not None and trade.price <= limit
    result = prove(journal_with(records, tmp_path))
    assert result.identical, result.in_words()
