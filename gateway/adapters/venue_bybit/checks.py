"""What must hold before a live order is sent: the clock, the API key, the position mode and the margin mode.

Each fault says what is wrong and what to do, and names the setting that lets the gateway start all the same, where
there is one. What could not be learned is a fault like any other, but for what demo trading does not tell of its keys.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.adapters.venue_bybit.api_key import DAY_MS, KeyFacts, may_transfer, may_withdraw, read_key
from gateway.adapters.venue_bybit.reads import CATEGORY, Reads, asked, rows_of
from gateway.adapters.venue_bybit.skew import Skew, measure_skew, skew_fault
from gateway.core.model import Symbol
from gateway.ports import Clock, VenueUnavailableError

ACCEPT_KEY_WITHDRAW = "ACCEPT_KEY_WITHDRAW"
ACCEPT_KEY_TRANSFER = "ACCEPT_KEY_TRANSFER"
ACCEPT_KEY_READ_ONLY = "ACCEPT_KEY_READ_ONLY"
ACCEPT_KEY_UNBOUND = "ACCEPT_KEY_UNBOUND"
ACCEPT_KEY_EXPIRING = "ACCEPT_KEY_EXPIRING"
ACCEPTANCES = frozenset(
    {ACCEPT_KEY_WITHDRAW, ACCEPT_KEY_TRANSFER, ACCEPT_KEY_READ_ONLY, ACCEPT_KEY_UNBOUND, ACCEPT_KEY_EXPIRING}
)
"""The settings that accept a fault of the key."""
EXPIRES_DAYS_MIN = 7
"""A key that ends sooner is to be replaced first: an open position would be left without one."""
CROSS_MARGIN = "REGULAR_MARGIN"
TRADING_RIGHTS = frozenset({"Order", "Position"})
ONE_WAY = 0
DEMO = "demo"
"""Bybit's demo trading answers no question about keys; they open no money."""
NAME_DIGITS = 12
"""Of a key's digest: enough to tell the keys of one person apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartFacts:
    """What Bybit said at the start; None where it could not be asked, and `unlearned` says why."""

    now_ms: int
    skew: Skew | None
    key: KeyFacts | None
    hedged: tuple[Symbol, ...] | None
    """The symbols that are in hedge mode."""
    margin_mode: str | None
    unlearned: tuple[str, ...] = field(default=())


async def gather_start_facts(reads: Reads, clock: Clock, symbols: Sequence[Symbol]) -> StartFacts:
    """Ask for everything; what cannot be had is left out. Never raises for a lost answer."""
    return await _Gathering(reads, clock).facts(symbols)


def start_faults(facts: StartFacts, *, accepted: frozenset[str], clock_skew_ms_max: int) -> tuple[str, ...]:
    """What keeps the gateway from trading live, in sentences; empty when nothing does."""
    faults = [
        _clock_fault(facts, clock_skew_ms_max),
        _position_mode_fault(facts),
        _margin_mode_fault(facts),
        *_key_faults(facts, accepted),
    ]
    return tuple(fault for fault in faults if fault is not None)


def accepted_in(env: str, key: KeyFacts | None, accepted: frozenset[str]) -> frozenset[str]:
    """The faults of a key that are accepted in an environment: on demo all, when nothing is told of the key."""
    return ACCEPTANCES if env == DEMO and key is None else accepted


def owner_of(env: str, key: KeyFacts | None, api_key: str) -> str:
    """What tells this account from others of its environment; empty when that was not told.

    The user's id; on demo a digest of the key, so that the name does not depend on what is told there.
    """
    if env == DEMO:
        return f"key-{hashlib.sha256(api_key.encode()).hexdigest()[:NAME_DIGITS]}"
    return key.user_id if key else ""


class _Gathering:
    """Asks one question after the other, and keeps what could not be learned."""

    def __init__(self, reads: Reads, clock: Clock) -> None:
        self._reads = reads
        self._clock = clock
        self._unlearned: list[str] = []

    async def facts(self, symbols: Sequence[Symbol]) -> StartFacts:
        skew, key = await self._skew(), await self._key()
        hedged, margin_mode = await self._hedged(symbols), await self._margin_mode()
        return StartFacts(
            now_ms=self._clock.now_ms(),
            skew=skew,
            key=key,
            hedged=hedged,
            margin_mode=margin_mode,
            unlearned=tuple(self._unlearned),
        )

    async def _skew(self) -> Skew | None:
        try:
            return await measure_skew(self._reads)
        except VenueUnavailableError as fault:
            self._unlearned.append(str(fault))
            return None

    async def _key(self) -> KeyFacts | None:
        try:
            answer = await asked(self._reads, "get_api_key_information")
        except VenueUnavailableError as fault:
            self._unlearned.append(str(fault))
            return None
        return read_key(answer.result, self._clock.now_ms())

    async def _hedged(self, symbols: Sequence[Symbol]) -> tuple[Symbol, ...] | None:
        try:
            modes = {symbol: await self._is_hedged(symbol) for symbol in symbols}
        except VenueUnavailableError as fault:
            self._unlearned.append(str(fault))
            return None
        return tuple(symbol for symbol, hedged in modes.items() if hedged)

    async def _is_hedged(self, symbol: Symbol) -> bool:
        """A symbol that is named has a row even when it is flat: one in one-way mode, two in hedge mode."""
        answer = await asked(self._reads, "get_positions", category=CATEGORY, symbol=symbol)
        rows = [row for row in rows_of("get_positions", answer.result) if row.get("symbol") == symbol]
        modes = [row.get("positionIdx") for row in rows]
        if not modes or any(type(mode) is not int for mode in modes):
            raise VenueUnavailableError(f"get_positions: the answer does not tell the position mode of {symbol}")
        return any(mode != ONE_WAY for mode in modes)

    async def _margin_mode(self) -> str | None:
        try:
            answer = await asked(self._reads, "get_account_info")
        except VenueUnavailableError as fault:
            self._unlearned.append(str(fault))
            return None
        mode = answer.result.get("marginMode")
        return mode if isinstance(mode, str) and mode.isascii() and mode.replace("_", "").isalnum() else None


def _clock_fault(facts: StartFacts, clock_skew_ms_max: int) -> str | None:
    if facts.skew is None:
        return _not_learned(facts, "get_server_time", "Bybit's time", "Check the line to Bybit and its status.")
    return skew_fault(facts.skew, clock_skew_ms_max)


def _position_mode_fault(facts: StartFacts) -> str | None:
    if facts.hedged is None:
        return _not_learned(facts, "get_positions", "the position mode", "Check that the key may read positions.")
    if facts.hedged:
        return (
            f"{', '.join(facts.hedged)} is in hedge mode, and the journal knows one net position: close what is "
            f"open and switch the account to one-way mode on Bybit."
        )
    return None


def _margin_mode_fault(facts: StartFacts) -> str | None:
    if facts.margin_mode is None:
        return _not_learned(facts, "get_account_info", "the margin mode", "Check that the key may read the account.")
    if facts.margin_mode != CROSS_MARGIN:
        return (
            f"the account's margin mode is {facts.margin_mode[:40]}, and exposure is reckoned for cross margin "
            f"({CROSS_MARGIN}): switch the account to cross margin on Bybit."
        )
    return None


def _key_faults(facts: StartFacts, accepted: frozenset[str]) -> list[str]:
    key = facts.key
    if key is None:
        if accepted >= ACCEPTANCES:
            return []
        what = f"Check the key and the line to Bybit, or set {', '.join(sorted(ACCEPTANCES))} to on to trade unknowing."
        return [_not_learned(facts, "get_api_key_information", "what the API key may do", what)]
    acceptable = {
        ACCEPT_KEY_WITHDRAW: _withdraw_fault(key),
        ACCEPT_KEY_TRANSFER: _transfer_fault(key),
        ACCEPT_KEY_READ_ONLY: _read_only_fault(key),
        ACCEPT_KEY_UNBOUND: _unbound_fault(key),
        ACCEPT_KEY_EXPIRING: _expiring_fault(key, facts.now_ms),
    }
    faults = [
        f"{fault}, or set {setting}=on to trade with it all the same."
        for setting, fault in acceptable.items()
        if fault is not None and setting not in accepted
    ]
    return [*faults, *(fault for fault in (_rights_fault(key), _unified_fault(key)) if fault is not None)]


def _withdraw_fault(key: KeyFacts) -> str | None:
    match may_withdraw(key):
        case True:
            return "the API key may withdraw coins: make one without the right to withdraw"
        case False:
            return None
        case None:
            return "Bybit does not say whether the API key may withdraw coins: look at it on Bybit"


def _transfer_fault(key: KeyFacts) -> str | None:
    match may_transfer(key):
        case True:
            return "the API key may transfer coins between accounts: make one without any right to the wallet"
        case False:
            return None
        case None:
            return "Bybit does not say whether the API key may transfer coins: look at it on Bybit"


def _read_only_fault(key: KeyFacts) -> str | None:
    match key.read_only:
        case True:
            return "the API key may only read, and every order would be refused: make one that may trade"
        case False:
            return None
        case None:
            return "Bybit does not say whether the API key may only read: look at it on Bybit"


def _unbound_fault(key: KeyFacts) -> str | None:
    match key.bound:
        case True:
            return None
        case False:
            return "the API key works from every address: bind it to this machine's address on Bybit"
        case None:
            return "Bybit does not say which addresses the API key is bound to: look at it on Bybit"


def _expiring_fault(key: KeyFacts, now_ms: int) -> str | None:
    if key.expires_ms is None:
        if key.bound:
            return None
        return (
            "Bybit does not say when the API key expires, and one that is bound to no address does: look at it on Bybit"
        )
    days = (key.expires_ms - now_ms) // DAY_MS
    if days < EXPIRES_DAYS_MIN:
        return f"the API key expires in {days} days, fewer than {EXPIRES_DAYS_MIN}: renew it, or make a new one"
    return None


def _rights_fault(key: KeyFacts) -> str | None:
    if key.contract is None:
        return "Bybit does not say whether the API key may trade contracts: look at its rights on Bybit."
    missing = sorted(TRADING_RIGHTS - key.contract)
    if missing:
        return f"the API key lacks the contract rights {', '.join(missing)}: give it both Order and Position on Bybit."
    return None


def _unified_fault(key: KeyFacts) -> str | None:
    if key.unified:
        return None
    return "the API key's account is not told to be a unified trading account: upgrade it on Bybit, or use another."


def _not_learned(facts: StartFacts, method: str, what: str, to_do: str) -> str:
    """The sentence for what Bybit did not say, with the reason when one is known."""
    why = next((reason for reason in facts.unlearned if reason.startswith(method)), f"{method}: not told")
    return f"Bybit does not tell {what} ({why}). {to_do}"
