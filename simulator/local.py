"""The whole exchange without a socket: market, engine, REST side, faults, and who hears what the engine publishes.

The server (server.py) puts sockets around it; tests use it in their own process, under their own clock (inprocess.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from simulator.api.api import Api
from simulator.api.keys import ENVIRONMENT, ApiKey, KeyRing, default_keys
from simulator.api.limits import LimitConfig
from simulator.api.log import RequestLog
from simulator.api.routes import Trading
from simulator.clock import MarketClock
from simulator.exchange import Exchange
from simulator.faults import FaultRule, Faults
from simulator.outages import Outages
from simulator.replay import Replay
from simulator.trading.contract import AccountConfig, Lags, Push, Scheduler
from simulator.trading.engine import Engine
from simulator.trading.markets import SimulatedMarkets

DEFAULT_USDT = Decimal(100_000)
ACCOUNTS_MAX = 1_000


def default_accounts() -> tuple[AccountConfig, ...]:
    """One account, uid 1, with 100 000 USDT."""
    return (AccountConfig(uid=1, balances={"USDT": DEFAULT_USDT}),)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeConfig:
    """What the exchange begins with."""

    seed: int
    """Of the market and of the engine's draws."""
    symbols: Sequence[str]
    accounts: Sequence[AccountConfig] = field(default_factory=default_accounts)
    keys: Sequence[ApiKey] = field(default_factory=default_keys)
    lags: Lags = field(default_factory=Lags)
    limits: LimitConfig = field(default_factory=LimitConfig)
    faults: Sequence[FaultRule] = ()
    faults_seed: int = 1
    replay: Replay | None = None
    """One symbol's market from a tape; the others are drawn from the seed."""
    env: str = ENVIRONMENT
    """A key of another environment is unknown."""


class LocalExchange:
    """The exchange's parts, put together."""

    def __init__(self, config: ExchangeConfig, scheduler: Scheduler) -> None:
        """ValueError for a clock before the market's history, or a key of an account that is not there."""
        self.config = config
        self.scheduler = scheduler
        self.clock = MarketClock(wall=scheduler.now_ms)
        self.exchange = Exchange(seed=config.seed, symbols=config.symbols, clock=self.clock, replay=config.replay)
        self.outages = Outages(scheduler.now_ms)
        self.faults = Faults(config.faults_seed)
        self.faults.add(*config.faults)
        self.keys = KeyRing()
        self.log = RequestLog()
        self.listeners: list[Callable[[Push], None]] = []
        """Each is called with everything that the engine publishes."""
        self.on_restart: list[Callable[[], None]] = []
        """Each is called when trading restarts: who holds private streams cuts them."""
        self.engine = Engine(
            markets=SimulatedMarkets(self.exchange),
            scheduler=scheduler,
            accounts=(),
            publish=self._publish,
            seed=config.seed,
            lags=config.lags,
        )
        self._uids: set[int] = set()
        self.api = self.api_for(self.engine)
        for account in config.accounts:
            self.add_account(account)
        for key in config.keys:
            self.add_key(key)

    @property
    def uids(self) -> frozenset[int]:
        """The accounts there are."""
        return frozenset(self._uids)

    def add_account(self, account: AccountConfig) -> None:
        """Open an account; ValueError when its uid is taken or there are too many."""
        if len(self._uids) >= ACCOUNTS_MAX:
            raise ValueError(f"at most {ACCOUNTS_MAX} accounts")
        self.engine.add_account(account)
        self._uids.add(account.uid)

    def add_key(self, key: ApiKey) -> None:
        """Make a key of an account that is there; ValueError when it is not."""
        if key.uid not in self._uids:
            raise ValueError(f"there is no account {key.uid} for the key {key.key}")
        self.keys.add(key)

    def restart_trading(self) -> None:
        """Restart the trading service: closed orders leave order/realtime, private streams are cut."""
        self.engine.restart()
        for told in self.on_restart:
            told()

    def api_for(self, trading: Trading) -> Api:
        """The REST side in front of a trading engine: the exchange's own, or one to measure or test with."""
        coins = dict.fromkeys(["USDT", *(market.instrument.base_coin for market in self.exchange.markets.values())])
        return Api(
            exchange=self.exchange,
            trading=trading,
            keys=self.keys,
            faults=self.faults,
            log=self.log,
            limits=self.config.limits,
            coins=tuple(coins),
            env=self.config.env,
            later=lambda ms, act: self.scheduler.call_at(self.scheduler.now_ms() + ms, act),
            restart=self.restart_trading,
        )

    def _publish(self, push: Push) -> None:
        for told in self.listeners:
            told(push)
