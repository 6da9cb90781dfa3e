"""The private stream, the account and the start-up checks on the simulated exchange, over real sockets."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from private_venue import Listener

from gateway.adapters.ban import AddressBan
from gateway.adapters.clock import SystemClock
from gateway.adapters.venue_bybit.account import BybitAccount
from gateway.adapters.venue_bybit.budget import Budget
from gateway.adapters.venue_bybit.checks import gather_start_facts, start_faults
from gateway.adapters.venue_bybit.runner import ThreadRunner
from gateway.adapters.venue_bybit.session import BybitSession, checked_endpoint
from gateway.adapters.venue_bybit.stream import Patience, PrivateStream
from gateway.core.credentials import Credentials, Secret
from gateway.core.model import Symbol
from gateway.core.venue import AccountSnapshot
from simulator.api.keys import ApiKey
from simulator.faults import FaultRule, Kind
from simulator.local import LocalExchange
from simulator.outages import Part
from simulator.server import ServerConfig, serving
from simulator.trading.contract import AccountConfig

BTC, ETH = Symbol("BTCUSDT"), Symbol("ETHUSDT")
KEY, SECRET = "SIMKEY0001", "SIMSECRET0001"
QUICK = Patience(hello=2.0, ping=0.2, silence=1.0, reconnect=(0.05, 0.2), refused=(0.2, 0.4))


@dataclass
class Desk:
    """A gateway's ears on an exchange."""

    local: LocalExchange
    reads: BybitSession
    account: BybitAccount
    stream: PrivateStream
    listener: Listener
    links: int = 0

    def trade(self, side: str = "Buy", qty: str = "0.01", **changes: Any) -> None:
        """Send an order to the exchange, past the gateway."""
        self.links += 1
        order = {"category": "linear", "symbol": "BTCUSDT", "side": side, "orderType": "Market", "qty": qty}
        self.local.engine.create_order(1, order | {"orderLinkId": f"link-{self.links}", "positionIdx": 0} | changes)

    async def snapshot(self) -> AccountSnapshot:
        return await self.account.snapshot(SystemClock().now_ms() - 60_000)

    def done(self) -> set[str]:
        """The executions that there are in truth."""
        return {execution.exec_id for execution in self.local.engine.all_executions(1)}

    def told(self) -> set[str]:
        """Those that the stream told of."""
        return {execution.exec_id for execution in self.listener.executions}


async def until(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - nothing here has events
            await asyncio.sleep(0.01)


@asynccontextmanager
async def a_desk(*, key: ApiKey | None = None, account: AccountConfig | None = None) -> AsyncIterator[Desk]:
    changes: dict[str, Any] = {"accounts": (account,)} if account else {}
    async with serving(ServerConfig(seed=7, symbols=[BTC, ETH], **changes)) as server:
        if key is not None:
            server.local.add_key(key)
        address = f"127.0.0.1:{server.port}"
        endpoint = checked_endpoint("simulator", f"http://{address}", f"ws://{address}/v5/private")
        clock, listener, runner = SystemClock(), Listener(), ThreadRunner("reads")
        credentials = Credentials(key=KEY, secret=Secret(SECRET))
        reads = BybitSession(
            endpoint=endpoint,
            credentials=credentials,
            recv_window_ms=5000,
            clock=clock,
            budget=Budget(clock=clock, alarm=listener.alarm, ban=AddressBan(clock=clock)),
            name="reads",
            run=runner,
        )
        stream = PrivateStream(
            url=endpoint.private_ws_url,
            credentials=credentials,
            clock=clock,
            events=listener,
            on_wallet=listener.on_wallet,
            on_position=listener.on_position,
            on_connected=listener.on_connected,
            alarm=listener.alarm,
            chance=random.Random(7),  # noqa: S311 - no secret
            patience=QUICK,
        )
        await stream.start()
        try:
            yield Desk(server.local, reads, BybitAccount(reads=reads, clock=clock), stream, listener)
        finally:
            await stream.close()
            await reads.close()


async def test_what_the_exchange_does_is_heard() -> None:
    async with a_desk() as desk:
        await until(lambda: desk.stream.connected)
        desk.trade("Buy", "0.02")
        desk.trade("Sell", "0.005")
        await until(lambda: desk.listener.wallets and len(desk.told()) >= 2 and desk.told() == desk.done())
        await until(lambda: desk.listener.positions[-1][1].qty == Decimal("0.015"))  # type: ignore[union-attr]
        ended = {order.order_link_id: order.filled_qty for order in desk.listener.orders}
        assert ended == {"link-1": Decimal("0.02"), "link-2": Decimal("0.005")}
        assert (desk.stream.unreadable, desk.stream.callback_faults) == (0, 0)


async def test_a_snapshot_is_the_truth_page_for_page() -> None:
    async with a_desk() as desk:
        for number in range(130):
            desk.trade("Buy" if number % 3 else "Sell", "0.003")
        for _ in range(60):
            desk.trade("Buy", "0.001", orderType="Limit", price="10000", timeInForce="GTC")
        desk.trade("Sell", "0.1", symbol="ETHUSDT")
        await asyncio.sleep(0.6)  # the longest that the exchange hides anything
        told, truth = await desk.snapshot(), desk.local.engine.account_view(1)
        engine = desk.local.engine
        assert len(told.open_orders) == 60
        assert {execution.exec_id for execution in told.executions} == desk.done()
        assert len(told.executions) > 100
        fees = sum(execution.fee_usd for execution in told.executions)
        assert fees == sum(execution.fee for execution in engine.all_executions(1))
        times = [execution.at_ms for execution in told.executions]
        assert times == sorted(times)
        assert {position.symbol: position.qty for position in told.positions} == {
            symbol: position.qty for symbol, position in truth.positions.items()
        }
        assert told.wallet.balance_usd == truth.balances["USDT"]
        assert told.wallet == desk.account.wallet()


FAULTS = [Kind.WS_DISCONNECT, Kind.WS_STALL, Kind.WS_HALF_OPEN]


@pytest.mark.parametrize("kind", FAULTS)
async def test_a_broken_stream_is_noticed_and_no_fill_is_lost(kind: Kind) -> None:
    async with a_desk() as desk:
        await until(lambda: desk.stream.connected)
        desk.local.faults.add(FaultRule(kind=kind, path="/v5/private"))
        for _ in range(5):
            desk.trade()
        await until(lambda: desk.stream.reconnects and desk.stream.connected)
        await asyncio.sleep(0.3)
        swept = {execution.exec_id for execution in (await desk.snapshot()).executions}
        assert desk.listener.sweeps == desk.stream.reconnects + 1
        assert swept | desk.told() == desk.done()
        desk.trade("Sell")
        await until(lambda: desk.done() - swept <= desk.told())


async def test_a_refused_sign_in_is_told_and_recovers() -> None:
    async with a_desk() as desk:
        await until(lambda: desk.stream.connected)
        desk.local.faults.add(
            FaultRule(kind=Kind.WS_REFUSE_AUTH, times=2), FaultRule(kind=Kind.WS_DISCONNECT, path="/v5/private")
        )
        await until(lambda: desk.listener.alarms)
        assert not desk.stream.connected
        await until(lambda: desk.stream.connected)
        assert len(desk.listener.alarms) == 1


async def test_an_exchange_that_goes_away_for_a_second_is_found_again() -> None:
    async with a_desk() as desk:
        await until(lambda: desk.stream.connected)
        desk.local.outages.begin(Part.ALL, 1.0)
        await until(lambda: not desk.stream.connected)
        await until(lambda: desk.stream.connected)
        assert desk.stream.reconnects


async def test_repeated_reordered_and_missing_frames_lose_nothing_beside_a_snapshot() -> None:
    async with a_desk() as desk:
        await until(lambda: desk.stream.connected)
        for kind in (Kind.WS_DUPLICATE, Kind.WS_REORDER, Kind.WS_MISSED_FILLS, Kind.WS_DOUBLE_FILLED):
            desk.local.faults.add(FaultRule(kind=kind, times=None, probability=0.3))
        for number in range(60):
            desk.trade("Buy" if number % 2 else "Sell")
        await asyncio.sleep(0.6)
        swept = {execution.exec_id for execution in (await desk.snapshot()).executions}
        assert swept == desk.done()
        assert desk.told() < desk.done()
        assert len(desk.listener.executions) > len(desk.told())
        assert desk.stream.unreadable == 0


async def faults_of(desk: Desk) -> tuple[str, ...]:
    facts = await gather_start_facts(desk.reads, SystemClock(), [BTC, ETH])
    return start_faults(facts, accepted=frozenset(), clock_skew_ms_max=500)


async def test_the_simulators_own_account_may_trade_live() -> None:
    async with a_desk() as desk:
        assert await faults_of(desk) == ()


async def test_a_loose_key_is_told_in_all_its_faults() -> None:
    loose = ApiKey(
        key=KEY,
        secret=SECRET,
        uid=1,
        permissions={"ContractTrade": ["Order"], "Wallet": ["AccountTransfer", "Withdraw"]},
        ips=["*"],
        expires_ms=SystemClock().now_ms() + 3 * 86_400_000 + 60_000,
    )
    async with a_desk(key=loose) as desk:
        told = await faults_of(desk)
    settings = ["ACCEPT_KEY_WITHDRAW", "ACCEPT_KEY_TRANSFER", "ACCEPT_KEY_UNBOUND", "ACCEPT_KEY_EXPIRING"]
    assert [setting for setting in settings if any(setting in fault for fault in told)] == settings
    assert any("lacks the contract rights Position" in fault for fault in told)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [({"hedge": True}, "hedge mode"), ({"margin_mode": "ISOLATED_MARGIN"}, "ISOLATED_MARGIN")],
)
async def test_an_account_in_another_mode_is_refused(changes: dict[str, Any], sentence: str) -> None:
    async with a_desk(account=AccountConfig(uid=1, balances={"USDT": Decimal(1000)}, **changes)) as desk:
        told = await faults_of(desk)
    assert len(told) == 1
    assert sentence in told[0]
