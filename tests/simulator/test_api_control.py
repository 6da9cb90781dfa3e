"""The control API of the trading side, over HTTP, with plain clients."""

import asyncio
import json
import time

import aiohttp
import pytest
import pytest_asyncio
from simulated_exchange import LINEAR, order, sign

from simulator.api.limits import LimitConfig
from simulator.outages import Part
from simulator.server import ServerConfig, serving


class Client:
    def __init__(self, server, http):
        self.server, self.http = server, http
        self.url = f"http://127.0.0.1:{server.port}"

    async def control(self, name, body):
        async with self.http.post(f"{self.url}/_control/{name}", json=body) as answer:
            return answer.status, await answer.json()

    async def ask(self, name):
        async with self.http.get(f"{self.url}/_control/{name}") as answer:
            return await answer.json()

    async def post(self, path, body, **signing):
        raw = json.dumps(body).encode()
        return await self._told(self.http.post(self.url + path, data=raw, headers=sign(raw, _now(), **signing)))

    async def get(self, path, query, **signing):
        headers = sign(query.encode(), _now(), **signing)
        return await self._told(self.http.get(f"{self.url}{path}?{query}", headers=headers))

    async def _told(self, request):
        async with request as answer:
            return await answer.json()


def _now():
    return time.time_ns() // 1_000_000


@pytest_asyncio.fixture
async def client():
    config = ServerConfig(seed=7, symbols=["BTCUSDT", "ETHUSDT"])
    async with serving(config) as server, aiohttp.ClientSession() as http:
        yield Client(server, http)


HUSH = "S"
OK = (200, {"ok": True})


async def test_faults_are_added_counted_and_cleared(client):
    rules = [
        {"kind": "code_before_accept", "code": 10016, "path": "/v5/order/create"},
        {"kind": "redirect", "after": 9},
    ]
    assert await client.control("faults", {"seed": 3, "rules": rules}) == OK
    assert (await client.post("/v5/order/create", order("a")))["retCode"] == 10016
    assert await client.ask("faults") == {"ok": True, "waiting": 1, "injected": {"code_before_accept": 1}}
    assert await client.control("faults/clear", {}) == OK
    assert (await client.ask("faults"))["waiting"] == 0


async def test_the_truth_has_every_order_and_execution_exactly(client):
    await client.post("/v5/order/create", order("a"))
    await asyncio.sleep(0.05)
    truth = await client.ask("truth?uid=1")
    [made], [filled] = truth["orders"], truth["executions"]
    assert (made["orderLinkId"], made["status"], made["filledQty"]) == ("a", "Filled", "0.001")
    assert (filled["orderId"], filled["side"], filled["qty"]) == (made["orderId"], "Buy", "0.001")
    assert truth["account"]["positions"]["BTCUSDT"]["qty"] == "0.001"
    assert truth["account"]["fees"] == filled["fee"]


async def test_the_log_goes_on_from_a_number(client):
    await client.post("/v5/order/create", order("a"))
    await client.get("/v5/account/info", "")
    log = await client.ask("requests")
    assert (log["total"], [entry["number"] for entry in log["requests"]]) == (2, [1, 2])
    assert (log["requests"][0]["orderLinkId"], log["requests"][0]["accepted"]) == ("a", True)
    assert [entry["path"] for entry in (await client.ask("requests?after=1"))["requests"]] == ["/v5/account/info"]


async def test_a_skewed_clock_refuses_an_honest_client(client):
    assert await client.control("clock", {"skewMs": 20_000}) == OK
    assert (await client.get("/v5/account/info", ""))["retCode"] == 10002
    assert await client.control("clock", {"skewMs": 0}) == OK
    assert (await client.get("/v5/account/info", ""))["retCode"] == 0


async def test_lags_change_from_now_on_and_the_others_stay(client):
    assert await client.control("lags", {"historyMs": [60_000, 60_000], "applyMs": [0, 0]}) == OK
    lags = client.server.local.engine.lags
    assert (lags.apply_ms, lags.history_ms, lags.visible_ms) == ((0, 0), (60_000, 60_000), (0, 20))
    await client.post("/v5/order/create", order("a"))
    await asyncio.sleep(0.05)
    assert (await client.get("/v5/order/history", "category=linear&symbol=BTCUSDT"))["result"]["list"] == []


async def test_accounts_and_keys_are_made(client):
    account = {"uid": 2, "balances": {"USDT": "5", "BTC": "0.25"}, "takerRate": "0.001", "hedge": False}
    assert await client.control("accounts", account) == OK
    assert await client.control("keys", {"key": "K", "secret": "S", "uid": 2, "ips": ["*"]}) == OK
    wallet = await client.get("/v5/account/wallet-balance", "accountType=UNIFIED", key="K", secret=HUSH)
    coins = {row["coin"]: row["walletBalance"] for row in wallet["result"]["list"][0]["coin"]}
    assert coins == {"USDT": "5", "BTC": "0.25"}
    assert (await client.ask("truth?uid=2"))["account"]["balances"] == {"USDT": "5", "BTC": "0.25"}


async def test_a_key_is_made_with_everything_that_start_checks_look_at(client):
    key = {
        "key": "K", "secret": "S", "uid": 1, "readOnly": True, "ips": ["*", "127.0.0.1"],
        "permissions": {"ContractTrade": ["Order"], "Wallet": ["Withdraw"]}, "expiresMs": _now() + 5 * 86_400_000,
    }  # fmt: skip
    assert await client.control("keys", key) == OK
    info = (await client.get("/v5/user/query-api", "", key="K", secret=HUSH))["result"]
    assert (info["readOnly"], info["ips"], info["deadlineDay"]) == (1, ["*", "127.0.0.1"], 4)
    assert (info["permissions"]["Wallet"], info["permissions"]["Spot"]) == (["Withdraw"], [])


async def test_a_restart_of_trading_forgets_ended_orders(client):
    await client.post("/v5/order/create", order("a"))
    await asyncio.sleep(0.05)
    query = "category=linear&orderLinkId=a"
    assert len((await client.get("/v5/order/realtime", query))["result"]["list"]) == 1
    assert await client.control("restart-trading", {}) == OK
    assert (await client.get("/v5/order/realtime", query))["result"]["list"] == []


async def test_funding_and_liquidation_are_the_exchanges_own_acts(client):
    await client.post("/v5/order/create", order("a"))
    await asyncio.sleep(0.05)
    assert await client.control("funding", {"symbol": "BTCUSDT", "rate": "0.0001"}) == OK
    assert await client.control("liquidate", {"uid": 1, "symbol": "BTCUSDT"}) == OK
    types = [each["execType"] for each in (await client.ask("truth"))["executions"]]
    assert types == ["Trade", "Funding", "BustTrade"]
    status, answer = await client.control("liquidate", {"uid": 1, "symbol": "BTCUSDT"})
    assert (status, "no position" in answer["error"]) == (400, True)


async def test_a_ban_is_lifted():
    config = ServerConfig(seed=7, symbols=["BTCUSDT"], limits=LimitConfig(address_requests=2))
    async with serving(config) as server, aiohttp.ClientSession() as http:
        client = Client(server, http)
        statuses = []
        for _ in range(3):
            async with http.get(f"{client.url}/v5/market/time") as answer:
                statuses.append(answer.status)
        assert statuses == [200, 200, 403]
        assert await client.control("pardon", {}) == OK
        assert (await client.get("/v5/market/time", ""))["retCode"] == 0


async def test_rest_that_is_down_resets_every_connection_and_comes_back(client):
    assert await client.control("down", {"seconds": 0.3, "what": "rest"}) == OK
    with pytest.raises(aiohttp.ClientError):
        await client.get("/v5/market/time", "")
    assert (await client.ask("requests"))["total"] == 0
    await asyncio.sleep(0.35)
    assert (await client.get("/v5/market/time", ""))["retCode"] == 0


async def test_a_server_that_is_down_refuses_connections_and_listens_again_by_itself(client):
    async with client.http.ws_connect(f"{client.url}/v5/public/linear") as stream:
        assert await client.control("down", {"seconds": 0.4, "what": "all"}) == OK
        assert (await asyncio.wait_for(stream.receive(), 2)).type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE}
    await asyncio.sleep(0.1)
    with pytest.raises(aiohttp.ClientConnectorError):
        await client.get("/v5/market/time", "")
    await asyncio.sleep(0.6)
    assert (await client.get("/v5/market/time", ""))["retCode"] == 0
    assert await client.control("clock", {"skewMs": 0}) == OK


async def test_a_server_stops_in_the_middle_of_an_outage(client):
    assert await client.control("down", {"seconds": 30, "what": "all"}) == OK
    await asyncio.sleep(0.1)
    with pytest.raises(aiohttp.ClientConnectorError):
        await client.ask("faults")


async def test_a_second_outage_prolongs_the_first(client):
    client.server.local.outages.begin(Part.ALL, 0.1)
    client.server.local.outages.begin(Part.ALL, 0.5)
    await asyncio.sleep(0.3)
    with pytest.raises(aiohttp.ClientConnectorError):
        await client.ask("faults")
    await asyncio.sleep(0.5)
    assert (await client.ask("faults"))["waiting"] == 0


@pytest.mark.parametrize(
    ("name", "body", "error"),
    [
        ("faults", {"rules": [{"kind": "boom"}]}, "rules[0]: kind must be one of"),
        ("faults", {"rules": "x"}, "rules must be a list"),
        ("faults", {"seed": "x"}, "seed must be an integer"),
        ("faults", {"rule": []}, "no field 'rule'"),
        ("clock", {}, "skewMs must be an integer"),
        ("clock", {"skewMs": 10**9}, "skewMs must be"),
        ("clock", {"skewMs": True}, "skewMs must be an integer"),
        ("lags", {"applyMs": 5}, "applyMs must be [low, high]"),
        ("lags", {"applyMs": [5, 1]}, "applyMs must be [low, high]"),
        ("lags", {"apply": [1, 5]}, "no field 'apply'"),
        ("down", {"seconds": -1}, "seconds must be"),
        ("down", {"seconds": 1, "what": "power"}, "what must be one of rest, streams, all"),
        ("accounts", {"uid": 1, "balances": {}}, "account 1 is there already"),
        ("accounts", {"uid": 3}, "balances must be an object"),
        ("accounts", {"uid": 3, "balances": {"USDT": 5}}, "balances.USDT must be a number in quotes"),
        ("accounts", {"uid": 3, "balances": {"USDT": "NaN"}}, "balances.USDT"),
        ("accounts", {"uid": 3, "balances": {}, "marginMode": "X"}, "marginMode must be one of"),
        ("accounts", {"uid": 3, "balances": {}, "hedge": 1}, "hedge must be true or false"),
        ("keys", {"key": "K", "secret": "S", "uid": 9}, "no account 9"),
        ("keys", {"key": "", "secret": "S", "uid": 1}, "key must be a text"),
        ("keys", {"key": "K", "secret": "S", "uid": 1, "ips": "*"}, "ips must be a list"),
        ("keys", {"key": "K", "secret": "S", "uid": 1, "permissions": []}, "permissions must be an object"),
        ("funding", {"symbol": "DOGEUSDT", "rate": "0"}, "symbol must be one of"),
        ("funding", {"symbol": "BTCUSDT", "rate": "2"}, "rate must be"),
        ("liquidate", {"uid": 7, "symbol": "BTCUSDT"}, "no account 7"),
    ],
)
async def test_a_wrong_body_is_refused_by_name(client, name, body, error):
    status, answer = await client.control(name, body)
    assert (status, answer["ok"]) == (400, False)
    assert error in answer["error"]


@pytest.mark.parametrize(("query", "error"), [("truth?uid=9", "no account 9"), ("requests?after=x", "after must be")])
async def test_a_wrong_question_is_refused_by_name(client, query, error):
    answer = await client.ask(query)
    assert answer["ok"] is False
    assert error in answer["error"]


async def test_leverage_and_position_mode_are_set(client):
    leverage = {**LINEAR, "buyLeverage": "5", "sellLeverage": "5"}
    codes = [(await client.post("/v5/position/set-leverage", leverage))["retCode"] for _ in range(2)]
    assert codes == [0, 110043]
    mode = {**LINEAR, "mode": 0}
    assert (await client.post("/v5/position/switch-mode", mode))["retCode"] in {0, 110025}
