"""API keys of the simulated exchange, and the signature that proves one.

The secrets here are not secret: they open nothing but simulated accounts, and stand in command lines and tests.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

ENVIRONMENT = "simulator"
ANY_ADDRESS = "*"
KEYS_MAX = 1_000

Permissions = Mapping[str, Sequence[str]]

TRADING: Permissions = {"ContractTrade": ("Order", "Position"), "Spot": ("SpotTrade",)}
"""What a trading key may do by default: no withdrawal, no transfer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """One key of one account."""

    key: str
    secret: str = field(repr=False)
    uid: int
    env: str = ENVIRONMENT
    """The environment it was made in; in another one it is unknown (10003)."""
    permissions: Permissions = field(default_factory=lambda: TRADING)
    """By group: ContractTrade (Order, Position), Spot (SpotTrade), Wallet (AccountTransfer, Withdraw, ...)."""
    read_only: bool = False
    ips: Sequence[str] = ("127.0.0.1",)
    """The addresses it is bound to; "*" binds it to none."""
    expires_ms: int | None = None

    def may(self, group: str, right: str) -> bool:
        """Whether it has this permission."""
        return right in self.permissions.get(group, ())

    def bound_to(self, remote: str) -> bool:
        """Whether it may be used from this address."""
        return ANY_ADDRESS in self.ips or remote in self.ips


class KeyRing:
    """All keys, by their public part."""

    def __init__(self, keys: Iterable[ApiKey] = ()) -> None:
        self._keys: dict[str, ApiKey] = {}
        for key in keys:
            self.add(key)

    def add(self, key: ApiKey) -> None:
        """Add a key, or put it in the place of the one of its name; ValueError when there are too many."""
        if key.key not in self._keys and len(self._keys) >= KEYS_MAX:
            raise ValueError(f"at most {KEYS_MAX} keys")
        self._keys[key.key] = key

    def find(self, name: str, env: str) -> ApiKey | None:
        """The key of this name, if it was made in this environment."""
        key = self._keys.get(name)
        return key if key is not None and key.env == env else None


def default_keys() -> tuple[ApiKey, ...]:
    """Two keys of account 1: ours, and one of a foreign hand on the same account."""
    return (
        ApiKey(key="SIMKEY0001", secret="SIMSECRET0001", uid=1),  # noqa: S106 - opens a simulated account only
        ApiKey(key="SIMKEY0002", secret="SIMSECRET0002", uid=1),  # noqa: S106 - the same
    )


def signature(secret: str, text: bytes) -> str:
    """HMAC-SHA256 in lower-case hex, as REST and WebSocket want it."""
    return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


def same(given: str, expected: str) -> bool:
    """Compare signatures, in constant time as a server should."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())
