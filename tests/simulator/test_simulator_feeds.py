from simulator.clock import MarketClock
from simulator.exchange import Exchange
from simulator.feeds import KlineFeed, TopFeed, feed_for
from simulator.market import LIVE_ORIGIN_MS
from simulator.process import HOUR_MS, MINUTE_MS

START_MS = LIVE_ORIGIN_MS + 1_100 * HOUR_MS + 30_000


def an_exchange() -> Exchange:
    return Exchange(seed=7, symbols=["BTCUSDT"], clock=MarketClock(wall=lambda: START_MS))


def test_a_candle_that_closed_is_confirmed_once_beside_the_new_open_one() -> None:
    feed = feed_for("kline.1.BTCUSDT", an_exchange(), START_MS)
    assert isinstance(feed, KlineFeed)
    pushes = [feed.due(START_MS + step * 250) for step in range(1, 240)]
    rows = [row for push in pushes for message in push for row in message["data"]]
    confirmed = [row for row in rows if row["confirm"]]
    assert [row["start"] for row in confirmed] == [START_MS // MINUTE_MS * MINUTE_MS]
    assert rows[rows.index(confirmed[0]) + 1]["start"] == confirmed[0]["end"] + 1
    assert 50 < len(rows) < 70


def test_an_unchanged_top_is_sent_again_after_the_silence_with_the_same_id() -> None:
    exchange = an_exchange()
    market = exchange.markets["BTCUSDT"]
    feed = feed_for("orderbook.1.BTCUSDT", exchange, START_MS)
    assert isinstance(feed, TopFeed)
    market.depth_factor = 0.0  # a book without levels cannot change by itself
    [emptied] = feed.due(START_MS + 250)
    assert feed.due(START_MS + 500) == []
    [again] = feed.due(START_MS + 3_250)
    assert again["data"]["u"] == emptied["data"]["u"]


def test_there_is_no_feed_for_what_is_no_topic() -> None:
    exchange = an_exchange()
    for topic in ("", ".", "orderbook", "orderbook.50", "orderbook.50.", "orderbook.200.BTCUSDT", "tickers.x.BTCUSDT"):
        assert feed_for(topic, exchange, START_MS) is None
