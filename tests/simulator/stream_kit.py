"""Conversations with the private and the order-entry stream in the test's own process, under a clock moved by hand."""

import hashlib
import hmac
import json
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from simulator.api.keys import ApiKey, default_keys
from simulator.faults import FaultRule, Kind
from simulator.local import ExchangeConfig, LocalExchange
from simulator.private_stream import PrivateHub, PrivateSession, private_hub
from simulator.timetable import HandScheduler
from simulator.trade_socket import TradeHub, TradeSession
from simulator.trading.contract import AccountConfig

START_MS = 1_795_000_000_000
OWN, FOREIGN = default_keys()
ORDER = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "0.01"}
RICH = {"USDT": Decimal(100_000), "BTC": Decimal(1)}


def auth_args(key: ApiKey, expires: int | str) -> list[Any]:
    sign = hmac.new(key.secret.encode(), f"GET/realtime{expires}".encode(), hashlib.sha256).hexdigest()
    return [key.key, expires, sign]


@dataclass
class Venue:
    """An exchange of two accounts: 1 with the default keys, 2 with the key "OTHER"."""

    local: LocalExchange
    scheduler: HandScheduler
    private: PrivateHub
    trade: TradeHub

    def now_ms(self) -> int:
        return self.scheduler.now_ms()

    def fault(self, kind: Kind, **fields: Any) -> None:
        self.local.faults.add(FaultRule(kind=kind, **fields))

    def order(self, **fields: Any) -> dict[str, Any]:
        """An order on the engine, and the time in which all of it is told."""
        accepted = self.local.engine.create_order(1, ORDER | fields)
        self.scheduler.advance(100)
        return dict(accepted)  # type: ignore[arg-type]

    def listener(self, *topics: str, key: ApiKey = OWN) -> "Talk":
        """A private session that is logged in and subscribed."""
        talk = Talk(self.private.open())
        talk.log_in(key, self.now_ms())
        if topics:
            assert talk.ask(op="subscribe", args=list(topics))["success"]
        return talk

    def trader(self, key: ApiKey = OWN) -> "Talk":
        """An order-entry session that is logged in."""
        talk = Talk(self.trade.open())
        talk.log_in(key, self.now_ms())
        return talk


@dataclass
class Talk:
    """One session, spoken to and listened to in JSON."""

    session: PrivateSession | TradeSession

    def say(self, text: str) -> list[dict[str, Any]]:
        return [json.loads(answer) for answer in self.session.receive(text)]

    def ask(self, **request: Any) -> dict[str, Any]:
        [answer] = self.say(json.dumps(request))
        return answer

    def log_in(self, key: ApiKey, now_ms: int) -> dict[str, Any]:
        return self.ask(op="auth", args=auth_args(key, now_ms + 5_000))

    def told(self) -> list[dict[str, Any]]:
        """What was pushed since it was asked last."""
        return [json.loads(text) for text in self.session.outbox.take()]

    def topics_told(self) -> list[str]:
        return [frame["topic"] for frame in self.told()]


def a_venue(**config: Any) -> Venue:
    scheduler = HandScheduler(START_MS)
    other = replace(OWN, key="OTHER", uid=2)
    accounts = [AccountConfig(uid=uid, balances=RICH) for uid in (1, 2)]
    usual = {"seed": 7, "symbols": ["BTCUSDT"], "accounts": accounts, "keys": [OWN, FOREIGN, other]}
    local = LocalExchange(ExchangeConfig(**(usual | config)), scheduler)
    trade = TradeHub(desk=local.api, keys=local.keys, faults=local.faults, now_ms=local.clock.server_ms)
    return Venue(local, scheduler, private_hub(local), trade)
