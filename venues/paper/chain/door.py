"""The door of a simulated chain: signs, keeps, broadcasts, waits, and replaces what waits too long.

Theory of operation. What cannot be done is refused before anything is signed. A transaction is signed with the next
nonce and kept before anybody sees it; then it is broadcast, and the door waits for its confirmations. It broadcasts
again what the node has forgotten, and replaces what offers too little. Whoever asks after an order gets what the chain
says of any transaction that was signed for it. An order is absent only when nothing was ever signed for it: what is
signed may be mined at any time, until its nonce is taken by another. Only a transaction that surely never left frees
its nonce. Blocks come in market time. While the market stands they go on only for as long as somebody here waits for
one, by exactly as long as he waits: what others do in that time, and how fast the machine is, changes no block.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import trio

from components.model.orders import Order, OrderGroup, OrderId, RejectKind, Trade, TradeStatus, nothing
from components.model.transactions import Transaction
from venues.clock import Clock
from venues.interfaces import (
    DoorTerms,
    Keeper,
    NotSent,
    OrderReport,
    OutcomeUnknown,
    ReportStatus,
    RestingOrder,
    SentOrder,
    Unavailable,
)
from venues.paper.account import CHAIN, PaperAccount
from venues.paper.chain.blocks import WALLET, NonceTaken, Underpriced, waiting
from venues.paper.chain.keeping import Kept
from venues.paper.chain.raw import body_of, orders_of, signed
from venues.paper.chain.state import SECOND_NS, terms_of
from venues.paper.door.door import PaperVenue
from venues.paper.door.faults import FaultPlan
from venues.paper.door.passage import Lost, Profile, Refused

T = TypeVar("T")
LEAST_WAIT_S = 1.0  # however fast the market goes: questions to a node take their own time
ASKS_WITHIN_BLOCKS = 2.0


class PaperChainVenue(PaperVenue):
    """The chain with all its protocols and the wallet; a VenueClient. `speed` is that of the market's clock."""

    def __init__(
        self,
        account: PaperAccount,
        clock: Clock,
        plan: FaultPlan,
        *,
        seed: int = 0,
        profile: Profile | None = None,
        speed: float = 1.0,
    ) -> None:
        super().__init__(CHAIN, account, clock, plan, seed=seed, profile=profile)
        self._chain = account.chain
        self._chain.plan = plan
        self._keeper: Keeper = Kept()
        self._speed = speed
        self._at = 0  # UTC ns: how far blocks were waited for
        self._asked: dict[
            OrderId, tuple[float, int]
        ] = {}  # process time, and how far the chain was, at the last question
        self._signing = trio.Lock()
        self._block_s = self._chain.terms.block_s / speed
        self._waited_at = -float("inf")

    @property
    def terms(self) -> DoorTerms:
        return terms_of(self._chain.terms, self._speed)

    @property
    def waited_at(self) -> float:
        return self._waited_at

    def bind(self, keeper: Keeper) -> None:
        """Where what is signed from now on is kept."""
        self._keeper = keeper

    def kept(self) -> tuple[Transaction, ...]:
        return self._keeper.kept()

    async def submit(self, group: OrderGroup) -> tuple[Trade, ...]:
        ids = tuple(order.id for order in group.orders)
        transaction = self._kept_for(ids[0])
        if transaction is None:
            known = await self._prepared(group)
            if known is not None:
                return known
            async with self._signing:
                transaction = await self._sign(group)
                try:
                    await self._broadcast(transaction)
                except NotSent:
                    await self._keeper.drop(transaction)
                    raise
        else:
            self._account.registry.heard(CHAIN, "submit", ids, self._now(), group.action.value)
        return await self._mined(group.orders)

    async def query(self, sent: SentOrder) -> OrderReport:
        self._ask_again(sent.order.id)
        report = await self._told(sent)
        if report.status is not ReportStatus.OPEN:
            self._asked.pop(sent.order.id, None)
        return report

    async def _told(self, sent: SentOrder) -> OrderReport:
        report = await super().query(sent)
        if report.status is ReportStatus.OPEN:
            await self._tend(sent.order.id)
        return report

    async def cancel_resting(self, resting: RestingOrder) -> None:
        """Takes the nonce of a transaction that waits."""
        for order in self._pool():
            if order.id == resting.order_id:
                await self.cancel(SentOrder(order=order, sent_at=self._now()))

    async def cancel(self, sent: SentOrder) -> OrderReport:
        """Takes the nonce of an order that waits; whichever of the two is mined, the report says."""
        order_id = sent.order.id
        report = await self.query(sent)
        before = self._kept_for(order_id)
        if report.status is not ReportStatus.OPEN or before is None or self._chain.find(order_id) is not None:
            return report
        async with self._signing:
            transaction = signed(
                WALLET,
                before.nonce,
                self._more_than(before),
                self._now(),
                cancels=orders_of(before),
                replaces=before.hash,
            )
            await self._keeper.keep(transaction)
            with suppress(NotSent):  # it is kept: whoever asks next broadcasts it again
                await self._broadcast(transaction)
        with suppress(OutcomeUnknown):
            await self._mined(orders_of(transaction))
        return await self.query(sent)

    # The interface of the other doors, on the newest block

    async def _question(self, endpoint: str, act: Callable[[], T]) -> T:
        def on_newest_block() -> T:
            self._make_blocks()
            return act()

        return await super()._question(endpoint, on_newest_block)

    def _query(self, order_id: OrderId) -> OrderReport:
        self._account.registry.heard(CHAIN, "query", (order_id,), self._now())
        return self._report(order_id)

    async def open_orders(self) -> tuple[RestingOrder, ...]:
        """What waits for its block, or is signed and may be mined by whoever has it; broadcast again where the node has
        forgotten it, unless somebody is sending just now."""
        if not self._signing.locked():
            await self._tend_to(max((each.nonce for each in self._unused()), default=-1), may_sign=False)
        return await super().open_orders()

    def _pool(self) -> tuple[Order, ...]:
        forgotten = (each for each in self._unused() if not self._chain.waits(each))
        return tuple({order.id: order for order in waiting((*self._chain.pool, *forgotten))}.values())

    # What is known of an order

    def _report(self, order_id: OrderId) -> OrderReport:
        included, record = self._chain.find(order_id), self._account.registry.find(CHAIN, order_id)
        if included is not None and record is not None:
            confirmations = self._chain.confirmations(included)
            done = confirmations >= self._chain.terms.confirmations
            return OrderReport(
                order_id=order_id,
                status=ReportStatus.DONE if done else ReportStatus.OPEN,
                trade=record.trade if done else None,
                final=False,
                confirmations=confirmations,
            )
        if record is not None:
            return record.report()
        transaction = self._kept_for(order_id)
        if transaction is None:
            return self._known_or_lost(order_id, OrderReport(order_id=order_id, status=ReportStatus.ABSENT))
        if self._is_dead(transaction):
            own = next(each for each in self._keeper.kept() if order_id in each.orders)
            order = next(each for each in orders_of(own) if each.id == order_id)
            why = f"another transaction has taken nonce {transaction.nonce}"
            trade = nothing(order, TradeStatus.REJECTED, self._now(), why, transient=True, refusal=RejectKind.REPLACED)
            return OrderReport(order_id=order_id, status=ReportStatus.DONE, trade=trade)
        return OrderReport(order_id=order_id, status=ReportStatus.OPEN, final=False, confirmations=0)

    def _is_dead(self, transaction: Transaction) -> bool:
        """Whether another transaction, none of what was signed for it, has its nonce and enough confirmations."""
        owner = self._chain.owner_of(transaction.nonce)
        if owner is None:
            return transaction.nonce < self._chain.nonce
        return self._chain.confirmations(owner) >= self._chain.terms.confirmations

    def _kept_for(self, order_id: OrderId) -> Transaction | None:
        """The last that was signed for the nonce of an order."""
        kept = self._keeper.kept()
        nonces = {each.nonce for each in kept if order_id in each.orders}
        return next((each for each in reversed(kept) if each.nonce in nonces), None)

    # Sending

    async def _prepared(self, group: OrderGroup) -> tuple[Trade, ...] | None:
        """What became of orders that were seen before, or why they cannot be done; None when they may be signed."""

        def ask() -> tuple[Trade, ...] | None:
            self._make_blocks()
            now = self._now()
            if any(order.id in self._account.registry.orders for order in group.orders):
                return self._account.submit(CHAIN, group, now)
            if self._account.would(group)[0].status is TradeStatus.REJECTED:
                return self._account.submit(CHAIN, group, now)
            return None

        ids = ", ".join(order.id for order in group.orders)
        try:
            return await self._passage.request("call", (), ask)
        except Refused as error:
            raise NotSent(str(error), retry_after_s=error.retry_after_s, venue=CHAIN, order=ids) from error
        except Lost as error:
            raise NotSent(f"nothing was signed: {error}", venue=CHAIN, order=ids) from error

    async def _sign(self, group: OrderGroup) -> Transaction:
        """The next nonce of the wallet: above all that is in the chain, and all that is kept."""
        self._forget_final()
        taken = (*self._keeper.kept(), *self._chain.pool)
        nonce = max([self._chain.nonce, *(each.nonce + 1 for each in taken)])
        fee = self._chain.terms.headroom * self._chain.base_fee_gwei(self._now())
        transaction = signed(WALLET, nonce, fee, self._now(), group=group)
        await self._keeper.keep(transaction)
        return transaction

    async def _broadcast(self, transaction: Transaction) -> None:
        def act() -> None:
            self._make_blocks()
            known = any(each in self._account.registry.orders for each in transaction.orders)
            if transaction.orders and not known:
                self._account.registry.heard(CHAIN, "submit", transaction.orders, self._now())
            with suppress(Underpriced, NonceTaken):  # what is asked next tells what has its nonce
                self._chain.broadcast(transaction, self._now())

        await self._change("submit", transaction.orders, act)

    async def _mined(self, orders: tuple[Order, ...]) -> tuple[Trade, ...]:
        """Waits until what was signed for these orders has its confirmations; OutcomeUnknown after long enough."""
        until = trio.current_time() + self._patience_s
        while True:
            self._waited_at = trio.current_time()
            with suppress(Unavailable):
                reports: list[OrderReport] = []
                for order in orders:
                    reports.append(await self._told(SentOrder(order=order, sent_at=self._now())))
                    if reports[-1].status is not ReportStatus.DONE:
                        break
                else:
                    return tuple(report.trade for report in reports if report.trade is not None)
            pause, since = min(self._to_next_block(), until - trio.current_time()), self._chain_now()
            if pause <= 0.0:
                ids = ", ".join(order.id for order in orders)
                raise OutcomeUnknown("the transaction is not confirmed yet", venue=CHAIN, order=ids)
            await trio.sleep(pause)
            self._waited(since, pause)

    async def _tend(self, order_id: OrderId) -> None:
        """What was signed for an order gets into a block as soon as it can: it, and all that is in front of it."""
        transaction = self._kept_for(order_id)
        if transaction is not None:
            await self._tend_to(transaction.nonce)

    async def _tend_to(self, nonce: int, *, may_sign: bool = True) -> None:
        """Broadcasts again what the node does not know, and replaces what offers less than the next block takes, up to
        a nonce: one that is missing holds up all behind it."""
        for wanted in [each.nonce for each in self._unused() if each.nonce <= nonce and self._lacks(each, may_sign)]:
            async with self._signing:
                for transaction in self._unused():  # who was sending meanwhile may have found that it never left
                    if transaction.nonce == wanted and self._lacks(transaction, may_sign):
                        await self._bring_forward(transaction, may_sign)

    def _lacks(self, transaction: Transaction, may_sign: bool) -> bool:
        return not self._chain.waits(transaction) or (may_sign and self._is_cheap(transaction))

    def _is_cheap(self, transaction: Transaction) -> bool:
        """Whether it offers less than the next block takes, and more of it may be offered."""
        cheap = self._chain.base_fee_gwei(self._now()) > transaction.max_fee_gwei
        return cheap and self._more_than(transaction) <= self._most

    async def _bring_forward(self, transaction: Transaction, may_sign: bool) -> None:
        if may_sign and self._is_cheap(transaction):
            transaction = self._dearer(transaction)
            await self._keeper.keep(transaction)
        with suppress(NotSent, OutcomeUnknown):
            await self._broadcast(transaction)

    def _unused(self) -> tuple[Transaction, ...]:
        """The last that was signed for each nonce that nothing in the chain has, in order."""
        last = {each.nonce: each for each in self._keeper.kept() if each.nonce >= self._chain.nonce}
        return tuple(last[nonce] for nonce in sorted(last))

    def _dearer(self, before: Transaction) -> Transaction:
        bumped = self._more_than(before)
        orders = orders_of(before)
        if not before.orders:
            return signed(WALLET, before.nonce, bumped, self._now(), cancels=orders, replaces=before.hash)
        group = body_of(before).group
        return signed(WALLET, before.nonce, bumped, self._now(), group=group, replaces=before.hash)

    def _more_than(self, before: Transaction) -> float:
        """What a replacement offers: what nodes ask of one, and what the next block takes; no more than configured."""
        terms, base = self._chain.terms, self._chain.base_fee_gwei(self._now())
        return max(terms.bump * before.max_fee_gwei, min(terms.headroom * base, self._most))

    @property
    def _most(self) -> float:
        """The most that is ever offered for getting something done, gwei; a nonce is taken at any price."""
        return self._chain.terms.dearest * self._account.gas_price_gwei()

    def _forget_final(self) -> None:
        """A nonce below the chain's that nothing in a block can give back is closed."""
        open_ones = {each.transaction.nonce for each in self._chain.included}
        for nonce in dict.fromkeys(each.nonce for each in self._keeper.kept()):
            if nonce < self._chain.nonce and nonce not in open_ones:
                self._keeper.close(nonce)

    # Blocks

    @property
    def _patience_s(self) -> float:
        return max(self._chain.terms.wait_blocks * self._block_s, LEAST_WAIT_S)

    def _make_blocks(self) -> None:
        self._account.mine_to(self._chain_now(), self._now())

    def _chain_now(self) -> int:
        """Market time, and beyond it as far as was waited for; UTC ns."""
        return max(self._now(), self._at, self._chain.head * self._chain.terms.block_ns)

    def _waited(self, since: int, seconds: float) -> None:
        """Somebody has waited so long for a block (process time), since the chain was at `since`."""
        self._at = max(self._at, since + int(seconds * self._speed * SECOND_NS))

    def _ask_again(self, order_id: OrderId) -> None:
        """Who asks after an order again and again waits for its block; who asks once a row does not."""
        now = trio.current_time()
        before = self._asked.get(order_id)
        if before is not None and now - before[0] <= ASKS_WITHIN_BLOCKS * self._block_s:
            self._waited(before[1], now - before[0])
        self._asked[order_id] = (now, self._chain_now())

    def _to_next_block(self) -> float:
        """Seconds of process time."""
        next_at = (self._chain.head + 1) * self._chain.terms.block_ns
        return max((next_at - self._chain_now()) / SECOND_NS / self._speed, 0.0) + 1e-3
