"""Orders, groups of orders and trades: what the strategy intends and what a venue did with it."""

from __future__ import annotations

from collections.abc import Container, Mapping
from enum import StrEnum
from typing import TypeAlias

import msgspec

from components.model.keys import PositionKey, Token, VenueName

OrderId: TypeAlias = str


class Verb(StrEnum):
    """What an order asks of its venue. Amounts are positive unless the verb says signed."""

    SPOT = "spot"  # signed: buy > 0, sell < 0
    PERP = "perp"  # signed: buy > 0, sell < 0
    TRANSFER = "transfer"
    STAKE = "stake"  # ETH → LST at the protocol rate
    REQUEST_UNSTAKE = "request_unstake"  # LST → ETH at the protocol rate, after the queue
    SWAP = "swap"  # on a DEX, `token` → `into_token`
    SUPPLY = "supply"
    WITHDRAW = "withdraw"
    BORROW = "borrow"
    REPAY = "repay"
    FLASH_BORROW = "flash_borrow"
    FLASH_REPAY = "flash_repay"
    UNWRAP = "unwrap"  # KING wrapper → the token inside
    PAY_OUT = "pay_out"  # cash leaves the strategy: a withdrawal is served


class GroupKind(StrEnum):
    """How a group settles: `one` order, all sent `together`, or `atomic` (all or nothing in one transaction)."""

    ONE = "one"
    TOGETHER = "together"
    ATOMIC = "atomic"


class Action(StrEnum):
    """The only five things a strategy does."""

    ENTRY_FULL = "entry_full"
    ENTRY_PARTIAL = "entry_partial"
    EXIT_FULL = "exit_full"
    EXIT_PARTIAL = "exit_partial"
    SELL_DUST = "sell_dust"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One intent for one venue.

    `amount` is in native units of `token`; for a WITHDRAW, REPAY, SWAP or STAKE it is the underlying amount (not the
    scaled balance). `source` and `target` are the positions it takes from and adds to where the verb leaves a choice.
    `limit_price` (USDT per unit) is the worst average price of a SPOT or PERP, `at_least` the least that a SWAP gives
    (units of `into_token`); None is the market. What cannot be had within them at once is not done: nothing rests.
    """

    id: OrderId
    verb: Verb
    venue: VenueName
    token: Token
    amount: float
    leg: str
    source: PositionKey | None = None
    target: PositionKey | None = None
    into_token: Token | None = None
    reduce_only: bool = False
    everything: bool = False  # close the whole position, whatever `amount` rounds to
    at_least: float | None = None
    limit_price: float | None = None


class OrderGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Orders that settle as one unit of the kind; `action` and `reason` say why they exist."""

    id: str
    kind: GroupKind
    action: Action
    reason: str
    orders: tuple[Order, ...]


class TradeStatus(StrEnum):
    FILLED = "filled"
    PARTIAL = "partial"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


DONE = (TradeStatus.FILLED, TradeStatus.PARTIAL)  # something happened


class OrderState(StrEnum):
    """Life of an order in the journal."""

    INTENT = "intent"
    SENT = "sent"
    FILLED = "filled"
    PARTIAL = "partial"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    NOT_SENT = "not_sent"
    UNDONE = "undone"  # a reorganisation of its chain took back what it did: uncertain again


LIFECYCLE: Mapping[OrderState, frozenset[OrderState]] = {
    OrderState.INTENT: frozenset({OrderState.SENT, OrderState.NOT_SENT}),
    # NOT_SENT also of what a venue surely never had, or refused for the moment: as if it had not left, it may go again
    OrderState.SENT: frozenset(
        {OrderState.FILLED, OrderState.PARTIAL, OrderState.REJECTED, OrderState.UNKNOWN, OrderState.NOT_SENT}
    ),
    OrderState.UNKNOWN: frozenset({OrderState.FILLED, OrderState.PARTIAL, OrderState.REJECTED, OrderState.NOT_SENT}),
    OrderState.PARTIAL: frozenset({OrderState.FILLED, OrderState.PARTIAL, OrderState.UNDONE}),
    OrderState.FILLED: frozenset({OrderState.UNDONE}),
    OrderState.REJECTED: frozenset({OrderState.UNDONE}),
    OrderState.NOT_SENT: frozenset(),
    OrderState.UNDONE: frozenset(
        {OrderState.FILLED, OrderState.PARTIAL, OrderState.REJECTED, OrderState.UNKNOWN, OrderState.NOT_SENT}
    ),
}


UNCERTAIN = (OrderState.UNKNOWN, OrderState.UNDONE)  # nobody knows what became of it, or what becomes of it now


def follows(state: OrderState, to: OrderState) -> bool:
    """Whether an order in `state` may be told to be in `to`; what is told again is no step."""
    return to is state or to in LIFECYCLE[state]


def advance(state: OrderState, to: OrderState) -> OrderState:
    """The state of an order after `to` was told of it; ValueError where no order goes that way."""
    if not follows(state, to):
        raise ValueError(f"an order that is {state.value} cannot become {to.value}")
    return to


class RejectKind(StrEnum):
    """Why a venue, or the check before a transaction is signed, refused an order; its words stay in `reason`."""

    MONEY = "money"
    SIZE = "size"
    PRICE = "price"
    REDUCE_ONLY = "reduce_only"
    RATE = "rate"
    CLOCK = "clock"
    DUPLICATE = "duplicate"
    PERMISSION = "permission"
    MAINTENANCE = "maintenance"
    REVERTED = "reverted"  # mined and undone: gas is paid
    REPLACED = "replaced"  # another transaction has taken its nonce
    OTHER = "other"


class CostKind(StrEnum):
    FEE = "fee"
    SLIPPAGE = "slippage"  # (fill − price known) × quantity
    GAS = "gas"
    FLASH_PREMIUM = "flash_premium"
    TRANSFER_FEE = "transfer_fee"
    REVALUATION = "revaluation"  # the same coin is priced differently where it arrives


class Cost(msgspec.Struct, frozen=True):
    """What a trade cost, in units of `token`; positive = paid."""

    kind: CostKind
    token: Token
    amount: float


class InFlight(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens on their way: in equity and delta, not in margin, until `arrives_at` (UTC ns)."""

    id: str
    token: Token
    amount: float
    source: PositionKey
    target: PositionKey
    arrives_at: int


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """What a venue did with one order, in our words."""

    order_id: OrderId
    status: TradeStatus
    verb: Verb
    venue: VenueName
    token: Token
    quantity: float  # signed, native units; 0 when nothing was done
    changes: Mapping[PositionKey, float]  # signed, native units (scaled for Aave), fees included
    at: int  # UTC nanoseconds
    price: float | None = None
    costs: tuple[Cost, ...] = ()
    reason: str = ""  # why it was rejected or is unknown
    venue_reference: str = ""  # the venue's own id: order id or transaction hash
    in_flight: InFlight | None = None  # a transfer or queue that arrives later
    transient: bool = False  # rejected, but not for what it asks: the way or the venue was at fault, ask again
    refusal: RejectKind | None = None  # of a rejected one, where its venue says
    final: bool = True  # False: a reorganisation of its chain may take it back
    block: str = ""  # hash of the block it is in; "" off chain
    expired: bool = False  # what is missing was not to be had within the limit price (or `at_least`) of the order


def part_of(order: Order, amount: float) -> Order:
    """The same order for a part of its amount."""
    least = None if order.at_least is None else order.at_least * (amount / order.amount)
    return msgspec.structs.replace(order, amount=amount, at_least=least, everything=False)


def nothing(
    order: Order,
    status: TradeStatus,
    at: int,
    reason: str,
    *,
    transient: bool = False,
    refusal: RejectKind | None = None,
    expired: bool = False,
) -> Trade:
    """A trade that did nothing (or of which nothing is known)."""
    return Trade(
        order_id=order.id,
        status=status,
        verb=order.verb,
        venue=order.venue,
        token=order.token,
        quantity=0.0,
        changes={},
        at=at,
        reason=reason,
        transient=transient,
        refusal=refusal,
        expired=expired,
    )


ETH_TOKENS = frozenset({"ETH", "WETH", "weETH", "wstETH"})
REDUCING = frozenset(
    {Verb.WITHDRAW, Verb.REPAY, Verb.FLASH_BORROW, Verb.FLASH_REPAY, Verb.REQUEST_UNSTAKE, Verb.UNWRAP, Verb.PAY_OUT}
)


def coins_moved(order: Order, coin: Token, reference_usdt: float) -> float:
    """Coins of `coin` by which an order would move net exposure if it were done; staking and lending move none."""
    match order.verb:
        case Verb.PERP | Verb.SPOT:
            return order.amount if _is_coin(order.token, coin) else 0.0
        case Verb.SWAP if _is_coin(order.token, coin) and order.into_token == "USDT":
            return -order.amount
        case Verb.SWAP if order.token == "USDT" and _is_coin(order.into_token, coin):
            return order.amount / reference_usdt
        case _:
            return 0.0


def _is_coin(token: Token | None, coin: Token) -> bool:
    return token == coin or (coin == "ETH" and token in ETH_TOKENS)


def leg_of(order: Order, exchanges: Container[VenueName]) -> str:
    """What must wait for the outcome of an order: one product at an exchange, or the whole wallet, whose transactions
    leave one after the other."""
    return f"{order.venue} {order.verb.value} {order.token}" if order.venue in exchanges else "the wallet"


def reduces_risk(order: Order, action: Action) -> bool:
    """Whether an order on its own can only make a position smaller; on an exit cash may move and coins may be sold."""
    match order.verb:
        case Verb.PERP:
            return order.reduce_only or order.everything
        case Verb.SPOT:
            return order.amount < 0.0
        case Verb.SWAP | Verb.TRANSFER:
            return action in (Action.EXIT_FULL, Action.EXIT_PARTIAL, Action.SELL_DUST)
        case verb:
            return verb in REDUCING
