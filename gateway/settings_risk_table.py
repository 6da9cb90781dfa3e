"""The settings of the pre-trade checks and of sizing; settings_table.py has them with the others.

What is empty by default follows from other settings: gateway/policy.py says how.
"""

from gateway.core.hours import parse_hours, parse_windows
from gateway.settings_forms import Setting, decimal, integer, optional, switch

USD_MAX = "1000000000"

RISK: tuple[Setting, ...] = (
    Setting(
        name="ORDER_USD_MAX",
        default="",
        parse=optional(decimal("0.01", USD_MAX)),
        meaning="The most that one opening order may ask for, US dollars; unset: PER_SYMBOL_USD_CAP.",
    ),
    Setting(
        name="GROSS_USD_CAP",
        default="",
        parse=optional(decimal("0", "1000000000000")),
        meaning="The most that all symbols together may hold, longs and shorts added up, US dollars; pending orders "
        "count. Unset: PER_SYMBOL_USD_CAP times the number of SYMBOLS.",
    ),
    Setting(
        name="NET_USD_CAP",
        default="",
        parse=optional(decimal("0", "1000000000000")),
        meaning="The most that longs may exceed shorts by, or shorts longs, US dollars; pending orders count. Unset: "
        "GROSS_USD_CAP.",
    ),
    Setting(
        name="LEVERAGE_MAX",
        default="3",
        parse=decimal("0.01", "100"),
        meaning="The most gross exposure, as a multiple of the equity.",
    ),
    Setting(
        name="OPEN_ORDERS_MAX",
        default="20",
        parse=integer(1, 100_000),
        meaning="Orders that may be under way at once; more wait for their callers to retry.",
    ),
    Setting(
        name="ORDER_RATE_MAX",
        default="600",
        parse=integer(0, 100_000_000),
        meaning="Orders that may be sent in a minute for one client and symbol; 0: no limit.",
    ),
    Setting(
        name="DUPLICATE_WINDOW_MS",
        default="",
        parse=optional(integer(0, 60_000)),
        meaning="For so long an order of the same symbol, side and size as one that was sent is taken for its copy, "
        "milliseconds; 0: never. Unset: 1000 in live trading, 0 on paper.",
    ),
    Setting(
        name="PRICE_COLLAR_BPS",
        default="500",
        parse=decimal("0", "10000"),
        meaning="How far the mid price may lie from the mark price, basis points; 0: no matter.",
    ),
    Setting(
        name="SPREAD_BPS_MAX",
        default="100",
        parse=decimal("0.01", "20000"),
        meaning="The widest gap between bid and ask that opening orders pass at, basis points of the mid price.",
    ),
    Setting(
        name="DEPTH_WITHIN_BPS",
        default="50",
        parse=decimal("0.01", "10000"),
        meaning="An opening order must find its whole size in the book within so many basis points of the mid price.",
    ),
    Setting(
        name="DEPTH_USD_MIN",
        default="0",
        parse=decimal("0", USD_MAX),
        meaning="What must stand there at least, US dollars, however small the order is.",
    ),
    Setting(
        name="TRADING_HOURS",
        default="",
        parse=parse_hours,
        meaning="When opening orders pass, UTC, as `Mon-Fri 08:00-20:00`, several separated by commas; unset: always.",
    ),
    Setting(
        name="MAINTENANCE",
        default="",
        parse=parse_windows,
        meaning="When no opening order passes, UTC, as `2026-11-24T10:00/2026-11-24T11:00`, several separated by "
        "commas.",
    ),
    Setting(
        name="DAILY_LOSS_USD_MAX",
        default="",
        parse=optional(decimal("0.01", USD_MAX)),
        meaning="What a UTC day may lose before opening orders are refused, US dollars; unset: no limit.",
    ),
    Setting(
        name="DAILY_LOSS_PCT_MAX",
        default="",
        parse=optional(decimal("0.0001", "1")),
        meaning="The same as a fraction of the equity without that loss: 0.05 is 5 percent; unset: no limit.",
    ),
    Setting(
        name="LOSING_TRADES_MAX",
        default="0",
        parse=integer(0, 1_000),
        meaning="So many closing orders with a loss in a row start a cool-down; 0: none does.",
    ),
    Setting(
        name="COOL_DOWN_SECONDS",
        default="3600",
        parse=integer(1, 604_800),
        meaning="How long a cool-down refuses opening orders, from the newest loss on, seconds.",
    ),
    Setting(
        name="REQUIRE_DECISION",
        default="",
        parse=optional(switch),
        meaning="`on`: an opening order must name a decision, so that no caller can make up a confidence. `off`: it "
        "may state its own. Unset: on in live trading, off on paper.",
    ),
    Setting(
        name="KELLY_FRACTION",
        default="0",
        parse=decimal("0", "1"),
        meaning="The share of the Kelly bet, at even odds, that an opening order may be; 0: sized without Kelly.",
    ),
    Setting(
        name="TARGET_ANN_VOL",
        default="",
        parse=optional(decimal("0.001", "10")),
        meaning="The annual volatility of the whole account that opening orders are cut down to, a fraction of the "
        "equity: 0.2 is 20 percent; unset: none.",
    ),
)
"""What limits orders beyond the symbol's cap and the drawdown."""
