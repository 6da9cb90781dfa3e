"""What the exchange says of a key and of the coins: /v5/user/query-api and /v5/asset/coin/query-info."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

from simulator.api.keys import ANY_ADDRESS, ApiKey
from simulator.shapes import Json

DAY_MS = 86_400_000
UNBOUND_DAYS = 90
"""A key that is bound to no address expires after so many days; the simulator tells the days, and lets it live."""
GROUPS = (
    "ContractTrade",
    "Spot",
    "Wallet",
    "Options",
    "Derivatives",
    "CopyTrading",
    "BlockTrade",
    "Exchange",
    "NFT",
    "Affiliate",
    "Earn",
)
"""The groups of permissions that are always named."""
CREATED_AT = "2026-09-01T00:00:00Z"
NEVER = "1970-01-01T00:00:00Z"


def key_info(key: ApiKey, now_ms: int) -> Json:
    """The result of /v5/user/query-api."""
    deadline_days, expires_at = _expiry(key, now_ms)
    return {
        "id": str(int(hashlib.sha256(key.key.encode()).hexdigest()[:8], 16)),
        "note": "simulated",
        "apiKey": key.key,
        "readOnly": int(key.read_only),
        "secret": "",
        "permissions": {group: list(key.permissions.get(group, ())) for group in (*GROUPS, *_others(key))},
        "ips": list(key.ips),
        "type": 1,
        "deadlineDay": deadline_days,
        "expiredAt": expires_at,
        "createdAt": CREATED_AT,
        "unified": 0,
        "uta": 1,
        "userID": key.uid,
        "inviterID": 0,
        "vipLevel": "No VIP",
        "mktMakerLevel": "0",
        "affiliateID": 0,
        "rsaPublicKey": "",
        "isMaster": True,
        "parentUid": "0",
        "kycLevel": "LEVEL_DEFAULT",
        "kycRegion": "",
    }


def coin_info(coins: Sequence[str], coin: object) -> Json:
    """The result of /v5/asset/coin/query-info: the coins of the listed markets, which no chain carries in or out."""
    return {
        "rows": [
            {"name": name, "coin": name, "remainAmount": "10000000", "chains": []}
            for name in coins
            if coin in {None, name}
        ]
    }


def _others(key: ApiKey) -> list[str]:
    return [group for group in key.permissions if group not in GROUPS]


def _expiry(key: ApiKey, now_ms: int) -> tuple[int, str]:
    """The days left and the end; a key bound to an address has -2 and the epoch, unless it was given an end."""
    if key.expires_ms is None and ANY_ADDRESS not in key.ips:
        return -2, NEVER
    expires_ms = key.expires_ms if key.expires_ms is not None else now_ms + UNBOUND_DAYS * DAY_MS
    at = datetime.fromtimestamp(expires_ms / 1000, UTC)
    return max(0, (expires_ms - now_ms) // DAY_MS), at.strftime("%Y-%m-%dT%H:%M:%SZ")
