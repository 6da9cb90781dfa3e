"""What /v5/user/query-api says of an API key. What it does not say in a known way is None, not a guess."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

DAY_MS = 86_400_000
ANY_ADDRESS = "*"
WITHDRAW = "withdraw"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFacts:
    """One API key."""

    read_only: bool | None
    unified: bool | None
    """Whether its account is a unified trading account."""
    bound: bool | None
    """Whether it works from named addresses alone."""
    wallet: frozenset[str] | None
    """What it may do with the wallet."""
    contract: frozenset[str] | None
    """What it may do with contracts."""
    expires_ms: int | None
    """When it ends; None when it says nothing of an end."""
    user_id: str = ""
    """Whose key it is; empty when that was not told."""


def read_key(result: Mapping[str, object], now_ms: int) -> KeyFacts:
    """The facts in an answer."""
    permissions = result.get("permissions")
    granted = permissions if isinstance(permissions, Mapping) else {}
    addresses = _texts(result.get("ips"))
    return KeyFacts(
        read_only=_flag(result.get("readOnly")),
        unified=_flag(result.get("uta")),
        bound=None if addresses is None else bool(addresses) and ANY_ADDRESS not in addresses,
        wallet=_texts(granted.get("Wallet")),
        contract=_texts(granted.get("ContractTrade")),
        expires_ms=_expires_ms(result, now_ms),
        user_id=_user_id(result.get("userID")),
    )


def may_withdraw(key: KeyFacts) -> bool | None:
    """Whether it may send coins out of the exchange; None when that was not told."""
    return None if key.wallet is None else any(WITHDRAW in word.lower() for word in key.wallet)


def may_transfer(key: KeyFacts) -> bool | None:
    """Whether it may move coins between accounts: all other rights to the wallet, known or not, count as this."""
    return None if key.wallet is None else any(WITHDRAW not in word.lower() for word in key.wallet)


def _user_id(value: object) -> str:
    """Bybit writes it as a number; a text of digits says the same."""
    text = str(value) if type(value) in (int, str) else ""
    return text if text.isdecimal() and text.isascii() and text != "0" else ""


def _flag(value: object) -> bool | None:
    """Bybit's 0 or 1."""
    return bool(value) if type(value) is int and value in (0, 1) else None


def _texts(value: object) -> frozenset[str] | None:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        return None
    return frozenset(value)


def _expires_ms(result: Mapping[str, object], now_ms: int) -> int | None:
    """The earlier of the date and the days that it tells. A bound key tells a past date and no days: it has no end."""
    ends = []
    days = result.get("deadlineDay")
    if type(days) is int and days >= 0:
        ends.append(now_ms + days * DAY_MS)
    date_ms = _date_ms(result.get("expiredAt"))
    if date_ms is not None and date_ms > now_ms:
        ends.append(date_ms)
    return min(ends, default=None)


def _date_ms(text: object) -> int | None:
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if at.tzinfo is None else round(at.timestamp() * 1000)
