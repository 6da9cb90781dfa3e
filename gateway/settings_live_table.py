"""The settings of live trading; none of them is read on paper. settings_table.py has them with the others."""

import re

from gateway.settings_forms import Setting, decimal, integer, one_of, switch

ENVIRONMENTS = ("simulator", "demo", "testnet", "mainnet")

SIMULATOR_REST = "http://127.0.0.1:15050"
SIMULATOR_PRIVATE_WS = "ws://127.0.0.1:15050/v5/private"

KEY_CHARS_MAX = 200
"""Bybit's keys have 18 characters, its secrets 36."""


def _key(text: str) -> str:
    if text and not re.fullmatch(rf"[A-Za-z0-9]{{8,{KEY_CHARS_MAX}}}", text):
        raise ValueError("must be 8 letters and digits or more, as Bybit shows it")
    return text


def _acceptance(name: str, what: str) -> Setting:
    return Setting(name=name, default="off", parse=switch, meaning=f"`on`: live trading starts with a key that {what}.")


LIVE: tuple[Setting, ...] = (
    Setting(
        name="BYBIT_ENV",
        default="",
        parse=one_of("", *ENVIRONMENTS),
        meaning="Where live orders go: `simulator` (on this machine), `demo`, `testnet` or `mainnet`; live needs one.",
    ),
    Setting(
        name="BYBIT_API_KEY",
        default="",
        parse=_key,
        secret=True,
        meaning="The API key of the account; live trading needs it, or its file.",
    ),
    Setting(
        name="BYBIT_API_SECRET",
        default="",
        parse=_key,
        secret=True,
        meaning="The key's secret; live trading needs it, or its file.",
    ),
    Setting(
        name="BYBIT_API_KEY_FILE",
        default="",
        parse=str,
        meaning="A file with the API key, in place of BYBIT_API_KEY.",
    ),
    Setting(
        name="BYBIT_API_SECRET_FILE",
        default="",
        parse=str,
        meaning="A file with the key's secret, in place of BYBIT_API_SECRET.",
    ),
    Setting(
        name="BYBIT_REST_URL",
        default=SIMULATOR_REST,
        parse=str,
        meaning="The REST address that orders go to when BYBIT_ENV is `simulator`, on this machine; Bybit's are fixed.",
    ),
    Setting(
        name="BYBIT_PRIVATE_WS_URL",
        default=SIMULATOR_PRIVATE_WS,
        parse=str,
        meaning="The private stream when BYBIT_ENV is `simulator`, on this machine; Bybit's are fixed.",
    ),
    Setting(
        name="RECV_WINDOW_MS",
        default="5000",
        parse=integer(1_000, 60_000),
        meaning="How long after it was signed Bybit may still take a request, milliseconds.",
    ),
    Setting(
        name="VENUE_ANSWER_MS",
        default="5000",
        parse=integer(500, 60_000),
        meaning="How long a live order waits for its end before it is answered as unknown, milliseconds.",
    ),
    Setting(
        name="VENUE_LAG_MS_MAX",
        default="10000",
        parse=integer(100, 600_000),
        meaning="The longest that the venue may take to show an order that it has taken, milliseconds; an order is "
        "proven never to have arrived only after this, RECV_WINDOW_MS and CLOCK_SKEW_MS_MAX.",
    ),
    Setting(
        name="CLOCK_SKEW_MS_MAX",
        default="500",
        parse=integer(10, 5_000),
        meaning="How far this machine's clock may be from Bybit's, milliseconds; live does not start beyond it.",
    ),
    Setting(
        name="SLIPPAGE_TOLERANCE_PCT",
        default="0.5",
        parse=decimal("0.01", "10", places=2),
        meaning="How far from the best price a live order may fill, percent, at most 2 decimal places; Bybit cancels "
        "the rest.",
    ),
    Setting(
        name="RECONCILE_SECONDS",
        default="30",
        parse=integer(1, 3_600),
        meaning="How often the live account is compared with the journal, seconds; after three of these without a "
        "comparison no order passes.",
    ),
    Setting(
        name="VENUE_BAN_SECONDS",
        default="600",
        parse=integer(1, 86_400),
        meaning="How long nothing is sent to Bybit after it has shut out this address, seconds.",
    ),
    _acceptance("ACCEPT_KEY_WITHDRAW", "may withdraw"),
    _acceptance("ACCEPT_KEY_TRANSFER", "may transfer between accounts"),
    _acceptance("ACCEPT_KEY_READ_ONLY", "is read-only: every order is refused by Bybit"),
    _acceptance("ACCEPT_KEY_UNBOUND", "is bound to no address"),
    _acceptance("ACCEPT_KEY_EXPIRING", "expires within days"),
    Setting(
        name="PROMOTION_RECORD",
        default="",
        parse=str,
        meaning="The file with the signed record of the promotion to live, as `tollgate promote --export` writes it; "
        "the first live start needs it, BYBIT_ENV=simulator excepted.",
    ),
    Setting(
        name="LIVE_WITHOUT_PROMOTION",
        default="",
        parse=str,
        meaning="Why live trading may start without a promotion, in a person's words: journaled at the start, and "
        "shown in /health for as long as the process runs.",
    ),
)
"""What live trading alone needs."""
