"""The service computes features and labels of the bars that it is sent, by the definitions of training."""

from typing import Any

import numpy as np
import pytest
from kit import VERSION_A, VERSION_B, a_card, a_failing_card, write_version
from trading.v1 import model_pb2, model_pb2_grpc

from inference.core.bars import Bars
from inference.core.card import CardLabel
from inference.core.features import EXTENDED, HISTORY_BARS_MIN, last_row
from inference.core.labels import label_bars
from inference.core.live_bars import LABELS

HOUR_MS = 3_600_000
START_MS = 1_600_000_000_000 // HOUR_MS * HOUR_MS
BARRIERS = CardLabel(kind="triple_barrier", horizon_bars=6, barrier_sigmas=0.5, meaning="A barrier is touched.")


def a_walk(count: int, *, seed: int = 3, gap_after: int | None = None) -> Bars:
    """Hourly bars of a random walk; one hour is missing after the row `gap_after`."""
    generator = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(generator.normal(0, 0.01, count)))
    start = np.concatenate(([100.0], close[:-1]))
    reach = np.exp(np.abs(generator.normal(0, 0.003, (2, count))))
    times = START_MS + np.arange(count) * HOUR_MS
    if gap_after is not None:
        times[gap_after + 1 :] += HOUR_MS
    return Bars(
        bar_seconds=3600,
        open_time_ms=times,
        open=start,
        high=np.maximum(start, close) * reach[0],
        low=np.minimum(start, close) / reach[1],
        close=close,
        volume=generator.uniform(1, 9, count),
    )


def message(bars: Bars) -> model_pb2.Bars:
    return model_pb2.Bars(
        bar_seconds=bars.bar_seconds,
        open_time_ms=bars.open_time_ms.tolist(),
        open=bars.open.tolist(),
        high=bars.high.tolist(),
        low=bars.low.tolist(),
        close=bars.close.tolist(),
        volume=bars.volume.tolist(),
    )


async def stub_of(serve: Any, models: Any) -> Any:
    return model_pb2_grpc.ModelServiceStub((await serve(models)).channel)


@pytest.mark.parametrize("count", [HISTORY_BARS_MIN, 1000, 5000])
async def test_features_are_those_of_the_one_definition(serve: Any, tmp_path: Any, count: int) -> None:
    write_version(tmp_path, card=a_card(features=EXTENDED))
    stub = await stub_of(serve, tmp_path)
    bars = a_walk(count)
    answer = await stub.ComputeFeatures(model_pb2.ComputeFeaturesRequest(bars=message(bars)))
    assert answer.model_version == VERSION_A
    assert dict(answer.features) == last_row(bars, EXTENDED)


async def test_features_of_another_version_than_the_active_one_are_its_own(serve: Any, tmp_path: Any) -> None:
    write_version(tmp_path, VERSION_B)
    write_version(tmp_path, VERSION_A, card=a_failing_card(features=("atr_14", "mom_5")))
    stub = await stub_of(serve, tmp_path)
    request = model_pb2.ComputeFeaturesRequest(model_version=VERSION_A, bars=message(a_walk(300)))
    assert set((await stub.ComputeFeatures(request)).features) == {"atr_14", "mom_5"}


def with_price(row: int, price: float) -> model_pb2.Bars:
    bars = message(a_walk(300))
    bars.close[row] = price
    return bars


def of_minutes() -> model_pb2.Bars:
    bars = message(a_walk(300))
    bars.bar_seconds = 60
    return bars


def without_a_volume() -> model_pb2.Bars:
    bars = message(a_walk(300))
    del bars.volume[-1]
    return bars


@pytest.mark.parametrize(
    ("bars", "field", "named"),
    [
        (message(a_walk(HISTORY_BARS_MIN - 1)), "bars.open_time_ms", "249"),
        (of_minutes(), "bars.bar_seconds", "60"),
        (without_a_volume(), "bars", "volume has 299 values"),
        (with_price(7, float("nan")), "bars", "close of bar 7"),
        (with_price(7, 0.0), "bars", "close of bar 7"),
        (with_price(7, 1e9), "bars", "bar 7 lies outside"),
        (model_pb2.Bars(bar_seconds=3600), "bars.open_time_ms", "1"),
        (model_pb2.Bars(bar_seconds=0, open_time_ms=[0]), "bars.bar_seconds", "0"),
        (model_pb2.Bars(bar_seconds=60, open_time_ms=range(5001)), "bars.open_time_ms", "5000"),
    ],
)
async def test_bars_that_cannot_be_used_are_refused_naming_the_field(
    *, serve: Any, tmp_path: Any, refusal: Any, bars: model_pb2.Bars, field: str, named: str
) -> None:
    write_version(tmp_path)
    stub = await stub_of(serve, tmp_path)
    refused = await refusal(stub.ComputeFeatures(model_pb2.ComputeFeaturesRequest(bars=bars)))
    assert (refused.code, refused.reason, refused.fields[0]) == ("INVALID_ARGUMENT", "INVALID_FIELD", field)
    assert refused.message.startswith("Nothing was computed")
    assert named in refused.message


async def test_too_few_bars_are_refused_with_the_limit_and_the_value(serve: Any, tmp_path: Any, refusal: Any) -> None:
    write_version(tmp_path)
    stub = await stub_of(serve, tmp_path)
    refused = await refusal(stub.ComputeFeatures(model_pb2.ComputeFeaturesRequest(bars=message(a_walk(100)))))
    assert (refused.metadata["limit"], refused.metadata["value"]) == ("250", "100")


async def test_a_feature_that_is_no_number_is_refused(serve: Any, tmp_path: Any, refusal: Any) -> None:
    write_version(tmp_path)
    stub = await stub_of(serve, tmp_path)
    bars = message(a_walk(300))
    bars.open[:] = bars.close[:] = bars.high[:] = bars.low[:] = [1e-300] * 299 + [1e300]
    refused = await refusal(stub.ComputeFeatures(model_pb2.ComputeFeaturesRequest(bars=bars)))
    assert (refused.reason, refused.metadata["feature"]) == ("NON_FINITE", "mom_20")


async def test_no_bars_at_all_and_a_version_that_is_not_there_are_refused(
    serve: Any, tmp_path: Any, refusal: Any
) -> None:
    write_version(tmp_path)
    write_version(tmp_path, VERSION_B)
    stub = await stub_of(serve, tmp_path)
    (tmp_path / "consensus" / VERSION_A / "card.json").write_text("{")
    whole = message(a_walk(300))
    for version, bars, reason in (
        ("", None, "INVALID_FIELD"),
        ("20200101_000000", whole, "MODEL_NOT_FOUND"),
        (VERSION_A, whole, "MODEL_UNFIT"),
        ("newest", whole, "INVALID_FIELD"),
    ):
        features = model_pb2.ComputeFeaturesRequest(model_version=version, bars=bars)
        label = model_pb2.LabelBarRequest(model_version=version, bars=bars)
        assert (await refusal(stub.ComputeFeatures(features))).reason == reason
        assert (await refusal(stub.LabelBar(label))).reason == reason


@pytest.mark.parametrize("label", [None, BARRIERS])
async def test_the_label_of_every_bar_is_that_of_the_one_definition(serve: Any, tmp_path: Any, label: Any) -> None:
    card = a_failing_card() if label is None else a_failing_card(label=label)
    write_version(tmp_path, VERSION_A, card=card)
    write_version(tmp_path, VERSION_B)
    stub = await stub_of(serve, tmp_path)
    bars = a_walk(60, gap_after=40)
    expected = [LABELS[int(value)] for value in label_bars(bars, card.label.spec).values]
    told = []
    for row in range(20, 60):
        request = model_pb2.LabelBarRequest(
            model_version=VERSION_A, bars=message(bars), open_time_ms=int(bars.open_time_ms[row])
        )
        told.append((await stub.LabelBar(request)).label)
    assert told == expected[20:]
    assert set(told) == set(LABELS.values())


async def test_a_bar_that_is_not_among_the_bars_or_has_no_history_is_refused(
    serve: Any, tmp_path: Any, refusal: Any
) -> None:
    write_version(tmp_path, card=a_card(label=BARRIERS))
    stub = await stub_of(serve, tmp_path)
    bars = a_walk(60)
    for time_ms, field in (
        (START_MS + 1, "open_time_ms"),
        (START_MS + 60 * HOUR_MS, "open_time_ms"),
        (START_MS - HOUR_MS, "open_time_ms"),
        (START_MS + 19 * HOUR_MS, "bars.open_time_ms"),
    ):
        refused = await refusal(stub.LabelBar(model_pb2.LabelBarRequest(bars=message(bars), open_time_ms=time_ms)))
        assert (refused.reason, refused.fields) == ("INVALID_FIELD", (field,))
