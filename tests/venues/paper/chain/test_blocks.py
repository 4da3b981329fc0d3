"""The simulated chain: nonces, fees, confirmations, finality, and what a reorganisation takes away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from components.model.events import EventType
from components.model.keys import base_token
from components.model.orders import OrderGroup, TradeStatus, Verb
from components.model.transactions import Transaction
from tests.venues.paper.stage import GAS, RICH, account_of, group, order
from venues.interfaces import ReportStatus
from venues.paper.account import PaperAccount
from venues.paper.chain.blocks import NonceTaken, PaperChain, Underpriced, waiting
from venues.paper.chain.raw import body_of, orders_of, signed, stranger
from venues.paper.chain.state import ChainTerms
from venues.paper.door.faults import Fault

ETH = base_token("wallet", "ETH")
USDT = base_token("wallet", "USDT")
TERMS = ChainTerms()
DEAR = 10_000.0  # gwei


def swap(id: str = "s1", eth: float = 1.0) -> OrderGroup:
    return group(order(id, Verb.SWAP, eth, venue="uniswap", token="ETH", into_token="USDT"))


def of(nonce: int, fee: float = DEAR, id: str = "", **more: Any) -> Transaction:
    return signed("wallet", nonce, fee, 0, group=swap(id or f"s{nonce}"), **more)


class Scene:
    """A rich account, and its chain block by block."""

    def __init__(self) -> None:
        self.account: PaperAccount = account_of("usdt_market_neutral")
        self.at = self.account.timestamp

    @property
    def chain(self) -> PaperChain:
        return self.account.chain

    def blocks(self, count: int = 1) -> None:
        self.account.mine_to((self.chain.head + count) * TERMS.block_ns, self.at)

    def sends(self, *transactions: Transaction) -> None:
        for each in transactions:
            self.chain.broadcast(each, self.at)

    def faulty(self, kind: str, **parameters: float | str) -> None:
        self.chain.plan.add(Fault(kind=kind, venue="chain", at=self.at, duration_s=3600.0, parameters=parameters))

    def told(self, kind: EventType) -> list[str]:
        return [item.detail for item in self.account.settled("chain", 0).items if item.event_type is kind]

    @property
    def done(self) -> list[str]:
        return [trade.order_id for trade in self.account.registry.fills]


@pytest.fixture
def scene() -> Iterator[Scene]:
    yield Scene()


def test_a_transaction_does_nothing_before_a_block_has_it(scene: Scene) -> None:
    scene.sends(of(0))
    assert scene.account.balances == RICH and [each.id for each in waiting(scene.chain.pool)] == ["s0"]
    scene.blocks()
    assert scene.done == ["s0"] and scene.account.balances[ETH] == RICH[ETH] - 1.0


def test_nonces_are_used_in_their_order_and_a_gap_waits(scene: Scene) -> None:
    scene.sends(of(2), of(1))
    scene.blocks(3)
    assert scene.done == []
    scene.sends(of(0))
    scene.blocks()
    assert scene.done == ["s0", "s1", "s2"] and scene.chain.nonce == 3


def test_a_nonce_is_used_once(scene: Scene) -> None:
    scene.sends(of(0))
    scene.blocks()
    scene.sends(of(0))  # the same bytes: it is known
    with pytest.raises(NonceTaken):
        scene.sends(of(0, id="another"))


def test_what_offers_less_than_the_base_fee_waits_until_that_has_fallen(scene: Scene) -> None:
    low = scene.chain.base_fee_gwei(scene.at)
    scene.faulty("gas_spike", factor=20.0)
    scene.sends(of(0, fee=2.0 * low))
    scene.blocks(5)
    assert scene.done == [] and [each.id for each in waiting(scene.chain.pool)] == ["s0"]
    scene.chain.plan.heal()
    scene.blocks()
    assert scene.done == ["s0"]


def test_a_replacement_offers_a_tenth_more_and_takes_the_place_of_the_one_before(scene: Scene) -> None:
    scene.sends(of(0, fee=1_000.0, id="old"))
    with pytest.raises(Underpriced):
        scene.sends(of(0, fee=1_099.0, id="cheap"))
    scene.sends(of(0, fee=1_101.0, id="new"))
    scene.blocks()
    assert scene.done == ["new"]


def test_an_empty_transaction_takes_a_nonce_and_its_gas_is_a_rejection_that_cost_something(scene: Scene) -> None:
    old = of(0, fee=1_000.0)
    scene.sends(old, signed("wallet", 0, 2_000.0, 0, cancels=orders_of(old), replaces=old.hash))
    scene.blocks(2)
    report = scene.account.query("chain", "s0", scene.at)
    assert report.status is ReportStatus.DONE and report.trade is not None
    assert report.trade.status is TradeStatus.REJECTED and report.trade.transient
    assert scene.account.balances[GAS] == RICH[GAS] + report.trade.changes[GAS] < RICH[GAS]
    assert scene.account.balances[ETH] == RICH[ETH]


def test_gas_of_a_transaction_that_is_no_order_of_ours_is_a_fact(scene: Scene) -> None:
    scene.sends(stranger(of(0)))
    scene.blocks()
    (fact,) = scene.account.settled("chain", 0).items
    assert fact.event_type is EventType.GAS and fact.part == "transaction_costs" and not fact.cash
    assert scene.account.balances[GAS] == RICH[GAS] + fact.changes[GAS] < RICH[GAS]


def test_what_fails_in_its_block_pays_gas(scene: Scene) -> None:
    scene.sends(of(0), of(1, id="too much"))
    scene.account.world.adjust({ETH: -99.0})  # somebody was faster
    scene.blocks()
    trade = scene.account.registry.orders["too much"].trade
    assert trade is not None and trade.status is TradeStatus.REJECTED and trade.refusal == "reverted"
    assert list(trade.changes) == [GAS] and trade.changes[GAS] < 0.0


def test_it_is_final_some_blocks_below_the_head_and_not_before(scene: Scene) -> None:
    scene.sends(of(0))
    scene.blocks(TERMS.final_blocks)
    assert scene.told(EventType.FINAL) == [] and not scene.account.registry.orders["s0"].trade.final  # type: ignore[union-attr]
    scene.blocks()
    assert scene.told(EventType.FINAL) == ["s0"] and scene.account.registry.orders["s0"].trade.final  # type: ignore[union-attr]
    scene.faulty("reorg", depth=500.0)
    scene.blocks()
    assert scene.done == ["s0"] and scene.told(EventType.UNDONE) == []


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_reorganisation_takes_back_exactly_what_its_blocks_did(scene: Scene, count: int) -> None:
    held = dict(scene.account.balances)
    for nonce in range(count):
        scene.sends(of(nonce))
        scene.blocks()
    scene.faulty("reorg", depth=float(count), fate="lost", times=1.0)
    scene.account.mine_to(scene.chain.head * TERMS.block_ns, scene.at)
    assert {key: amount for key, amount in scene.account.balances.items() if amount} == pytest.approx(held, abs=1e-9)
    assert scene.done == [] and scene.account.registry.orders == {} and scene.chain.nonce == 0
    assert scene.told(EventType.UNDONE) == [f"s{nonce}" for nonce in range(count)]


def test_it_takes_back_no_more_than_its_depth(scene: Scene) -> None:
    scene.sends(of(0))
    scene.blocks(3)
    scene.sends(of(1))
    scene.blocks()
    scene.faulty("reorg", depth=2.0, fate="lost", times=1.0)
    scene.account.mine_to(scene.chain.head * TERMS.block_ns, scene.at)
    assert scene.done == ["s0"] and scene.told(EventType.UNDONE) == ["s1"]


def test_what_was_taken_back_waits_and_is_done_again_in_another_block(scene: Scene) -> None:
    scene.sends(of(0))
    scene.blocks()
    before = scene.account.registry.orders["s0"].trade
    scene.faulty("reorg", depth=3.0, fate="again", times=1.0)
    scene.blocks()
    scene.blocks()
    after = scene.account.registry.orders["s0"].trade
    assert before is not None and after is not None and before.block != after.block
    assert before.changes == after.changes and scene.done == ["s0"]


def test_what_has_arrived_elsewhere_stands(scene: Scene) -> None:
    transfer = order(
        "t1", Verb.TRANSFER, 100.0, venue="wallet", token="USDT", source=USDT, target=base_token("binance", "USDT")
    )
    scene.sends(signed("wallet", 0, DEAR, 0, group=group(transfer)))
    scene.blocks()
    scene.account.advance_to(1)  # an hour later
    scene.at = scene.account.timestamp
    assert any(item.arrived for door in scene.account.doors for item in scene.account.settled(door, 0).items)
    scene.chain.included = [replace(each, number=scene.chain.head) for each in scene.chain.included]
    scene.faulty("reorg", depth=50.0)
    scene.blocks()
    assert scene.told(EventType.UNDONE) == []


def test_it_goes_on_from_its_state_as_if_it_had_not_stopped(scene: Scene) -> None:
    other = Scene()
    for each in (scene, other):
        each.sends(of(0), of(1), of(3))
        each.blocks(2)
    fresh = Scene()
    fresh.account.restore([other.account.whole()])
    for each in (scene, fresh):
        each.sends(of(2))
        each.faulty("reorg", depth=5.0, times=1.0)
        each.blocks(4)
    assert fresh.account.whole().chain == scene.account.whole().chain
    assert fresh.account.balances == scene.account.balances
    assert [i.id for i in fresh.account.settled("chain", 0).items] == [
        i.id for i in scene.account.settled("chain", 0).items
    ]


def test_a_raw_transaction_says_what_was_signed_and_has_one_hash() -> None:
    one, other = of(4, fee=7.0), of(4, fee=7.0)
    assert one == other and body_of(one).group == swap("s4") and one.orders == ("s4",)
    assert of(4, fee=8.0).hash != one.hash and stranger(one).orders == ()


def test_rows_pass_with_the_blocks_between_them(scene: Scene) -> None:
    scene.sends(of(0))
    head = scene.chain.head
    scene.account.advance_to(2)
    assert scene.chain.head == head + 600 and scene.done == ["s0"] and scene.told(EventType.FINAL) == ["s0"]
