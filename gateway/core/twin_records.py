"""The paper twin of a live order: what paper trading makes of the same order at the same moment, and what differs.

A difference is what live trading was worse by, in basis points: positive when the live order bought dearer, sold
cheaper or paid more. Over many orders its mean is the bias of the paper venue: how much better paper looks than live.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import sqrt
from statistics import NormalDist, fmean, stdev
from typing import Final

from gateway.core.documents import Document, DocumentKind
from gateway.core.json_fields import Fields, RecordFormatError, canonical, parsed, record_fields
from gateway.core.model import ZERO, Fill, OrderKey, OrderRecord, Outcome, Side, Symbol

TWIN_VERSION: Final = 1
BPS: Final = 10_000
BPS_STEP: Final = Decimal("0.0001")
"""Differences are kept to this part of a basis point."""
CONFIDENCE: Final = 0.95
T_QUANTILES: Final = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""Student's t at 97.5 % for 1 to 10 degrees of freedom; beyond, its expansion is right to a thousandth
(M. Abramowitz and I. Stegun, "Handbook of Mathematical Functions", 26.7.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bought:
    """What all fills of one order come to."""

    qty: Decimal
    price: Decimal
    """The mean price of its fills; zero without any."""
    fee_usd: Decimal

    @property
    def fee_bps(self) -> Decimal:
        """The fee in basis points of the notional; zero without fills."""
        return self.fee_usd / (self.qty * self.price) * BPS if self.qty else ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """A live order that was filled, and its twin."""

    key: OrderKey
    symbol: Symbol
    side: Side
    live: Bought
    paper: Bought
    """With a quantity of zero when paper trading would have filled nothing."""
    at_ms: int
    """When the two were compared."""

    @property
    def price_worse_bps(self) -> Decimal | None:
        """By how much the live price was worse; None when the twin has no fill."""
        if not self.paper.qty:
            return None
        worse = (self.live.price - self.paper.price) * self.side.sign / self.paper.price * BPS
        return worse.quantize(BPS_STEP)

    @property
    def fee_worse_bps(self) -> Decimal | None:
        """By how much the live fee was worse; None when the twin has no fill."""
        return (self.live.fee_bps - self.paper.fee_bps).quantize(BPS_STEP) if self.paper.qty else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperBias:
    """How much better paper looks than live."""

    count: int
    """Twins with a fill, which the figures are made of."""
    price_bps: float
    """The mean of what live prices were worse by."""
    low_bps: float
    high_bps: float
    """The 95 % interval of that mean, by Student's t."""
    fee_bps: float
    """The mean of what live fees were worse by."""


def twin_of(record: OrderRecord, outcome: Outcome, at_ms: int) -> Twin:
    """A live order that has ended with fills, beside what became of it on paper."""
    return Twin(
        key=record.order.key,
        symbol=record.order.symbol,
        side=record.order.side,
        live=_bought(record.fills),
        paper=_bought(outcome.fills),
        at_ms=at_ms,
    )


def paper_bias(twins: Sequence[Twin]) -> PaperBias | None:
    """The bias of the paper venue; None below two twins with a fill, of which no interval can be made."""
    prices = [float(twin.price_worse_bps) for twin in twins if twin.price_worse_bps is not None]
    fees = [float(twin.fee_worse_bps) for twin in twins if twin.fee_worse_bps is not None]
    count = len(prices)
    if count < 2:  # noqa: PLR2004 - a spread needs two
        return None
    mean = fmean(prices)
    half = t_quantile(count - 1) * stdev(prices) / sqrt(count)
    return PaperBias(count=count, price_bps=mean, low_bps=mean - half, high_bps=mean + half, fee_bps=fmean(fees))


def t_quantile(degrees: int) -> float:
    """Student's t that 95 % lie within, for so many degrees of freedom, 1 or more."""
    if degrees <= len(T_QUANTILES):
        return T_QUANTILES[degrees - 1]
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / degrees**3


def twin_document(twin: Twin) -> Document:
    """A twin as the journal keeps it. Raises RecordFormatError when a number is not finite."""
    text = canonical(
        {
            "v": TWIN_VERSION,
            "symbol": twin.symbol,
            "side": twin.side.value,
            "live": _bought_object(twin.live),
            "paper": _bought_object(twin.paper),
            "price_worse_bps": _text(twin.price_worse_bps),
            "fee_worse_bps": _text(twin.fee_worse_bps),
        }
    )
    return Document(kind=DocumentKind.TWIN, subject=twin.key, text=text, at_ms=twin.at_ms)


def twin_from(document: Document) -> Twin:
    """The twin that `twin_document` wrote. Raises RecordFormatError."""
    fields = record_fields(parsed(document.text, "twin"), "twin", _TWIN_KEYS, TWIN_VERSION)
    twin = Twin(
        key=OrderKey(document.subject),
        symbol=Symbol(fields.text("symbol")),
        side=fields.member("side", Side),
        live=_bought_from(fields.nested("live", _BOUGHT_KEYS)),
        paper=_bought_from(fields.nested("paper", _BOUGHT_KEYS)),
        at_ms=document.at_ms,
    )
    told = (fields.optional("price_worse_bps", fields.text), fields.optional("fee_worse_bps", fields.text))
    if told != (_text(twin.price_worse_bps), _text(twin.fee_worse_bps)):
        raise RecordFormatError("twin: its differences do not follow from its prices and fees")
    return twin


_TWIN_KEYS: Final = frozenset({"v", "symbol", "side", "live", "paper", "price_worse_bps", "fee_worse_bps"})
_BOUGHT_KEYS: Final = frozenset({"qty", "price", "fee_usd"})


def _bought(fills: Sequence[Fill]) -> Bought:
    qty = sum((fill.qty for fill in fills), ZERO)
    notional_usd = sum((fill.notional_usd for fill in fills), ZERO)
    fee_usd = sum((fill.fee_usd for fill in fills), ZERO)
    return Bought(qty=qty, price=notional_usd / qty if qty else ZERO, fee_usd=fee_usd)


def _bought_object(bought: Bought) -> dict[str, str]:
    return {"qty": str(bought.qty), "price": str(bought.price), "fee_usd": str(bought.fee_usd)}


def _bought_from(fields: Fields) -> Bought:
    return Bought(qty=fields.decimal("qty"), price=fields.decimal("price"), fee_usd=fields.decimal("fee_usd"))


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)
