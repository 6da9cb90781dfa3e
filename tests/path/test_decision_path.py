"""The decision path over fakes: features of its own, what is recorded, and what live calibration counts."""

import asyncio
from dataclasses import replace

import pytest
from builders import BAR_MS, BTC, FEATURES, HOUR_MS, NOW_MS, VERSION, a_prediction, a_series, a_shadow
from fakes import FakeModel
from world import World

from gateway.core.model import Decision, Failure, Symbol, WatchState
from gateway.core.reasons import Reason
from gateway.decision_path import Question
from gateway.ports import ModelChangedError, ModelUnavailableError

COMPUTED = {"mom_20": 0.3, "rv_5": 0.9, "rsi_14": 55.0}
OTHERS = {"mom_5": 0.1, "rv_20": 2.0}
ASKED = Question(symbol=BTC, features=FEATURES)
SYMBOL_ONLY = Question(symbol=BTC, features={})


class SwitchingModel(FakeModel):
    """Serves other features once it is switched, and tells its new inputs to whoever came for the old ones."""

    switched = False

    async def features(self, bars):
        self._learn()
        return self.computed

    async def predict_many(self, rows):
        if self._learn():
            raise ModelChangedError("other features")
        return await super().predict_many(rows)

    def _learn(self):
        if not self.switched or self.names == tuple(OTHERS):
            return False
        self.names, self.computed = tuple(OTHERS), OTHERS
        return True


class RelearningModel(FakeModel):
    """Its inputs are read anew, and found to be others, between the check of a question and its row."""

    reads = 0

    async def feature_names(self):
        self.reads += 1
        return self.names if self.reads == 1 else tuple(OTHERS)


class SlowModel(FakeModel):
    """Computes features when it is told to."""

    def __init__(self, *given, **named):
        super().__init__(*given, **named)
        self.go = asyncio.Event()

    async def features(self, bars):
        self.series.append(bars)
        await self.go.wait()
        if self.down:
            raise ModelUnavailableError("down")
        return COMPUTED


@pytest.fixture
def world():
    world = World()
    world.market.series[BTC] = a_series(300)
    return world


def a_model(kind=FakeModel, computed=None, **prediction):
    return kind(a_prediction(**prediction), computed=COMPUTED if computed is None else computed)


def failed_for(result):
    assert isinstance(result, Failure), result
    return result.reason


async def test_features_that_are_left_out_are_those_of_the_newest_closed_bar(world):
    model = a_model()
    decision = await world.decisions(model).decide(SYMBOL_ONLY)
    assert isinstance(decision, Decision)
    assert decision.features == COMPUTED
    assert model.seen == [list(COMPUTED.values())]
    assert decision.bar_open_ms == BAR_MS
    assert model.series == [a_series(300)]
    assert world.journal.decisions == {decision.decision_id: decision}


async def test_at_most_five_hundred_bars_are_sent(world):
    world.market.series[BTC] = a_series(1000)
    model = a_model()
    await world.decisions(model).decide(SYMBOL_ONLY)
    assert model.series == [a_series(500)]


async def test_a_bar_is_computed_once_however_many_ask_for_it(world):
    model = a_model(SlowModel)
    path = world.decisions(model)
    asking = [asyncio.create_task(path.decide(SYMBOL_ONLY)) for _ in range(20)]
    await asyncio.sleep(0)
    asking[0].cancel()
    await asyncio.sleep(0)
    model.go.set()
    decisions = await asyncio.gather(*asking[1:])
    assert {decision.bar_open_ms for decision in decisions} == {BAR_MS}
    assert len(model.series) == 1


async def test_a_new_bar_a_corrected_one_and_another_version_are_computed_anew(world):
    model = a_model()
    path = world.decisions(model)
    await path.decide(SYMBOL_ONLY)
    await path.decide(SYMBOL_ONLY)
    computed = len(model.series)  # again when the version is known; a first answer tells it
    series = world.market.series[BTC]
    corrected = replace(series.bars[-1], close=60_050.0)
    world.market.series[BTC] = replace(series, bars=(*series.bars[:-1], corrected))
    await path.decide(SYMBOL_ONLY)
    assert len(model.series) == computed + 1
    world.clock.at_ms += HOUR_MS
    world.market.series[BTC] = a_series(301, newest_open_ms=BAR_MS + HOUR_MS)
    assert (await path.decide(SYMBOL_ONLY)).bar_open_ms == BAR_MS + HOUR_MS
    assert len(model.series) == computed + 2
    model.prediction = a_prediction(model_version="20261201_000000")
    await path.decide(SYMBOL_ONLY)
    await path.decide(SYMBOL_ONLY)
    assert len(model.series) == computed + 3


@pytest.mark.parametrize(
    ("series", "metadata"),
    [
        (None, {"symbol": BTC, "bars": "0", "bars_min": "250"}),
        (a_series(249), {"bars": "249", "newest_open_ms": str(BAR_MS), "due_open_ms": str(BAR_MS)}),
        (a_series(300, newest_open_ms=BAR_MS - HOUR_MS), {"bars": "300", "newest_open_ms": str(BAR_MS - HOUR_MS)}),
    ],
    ids=["none", "too few", "too old"],
)
async def test_bars_that_are_missing_few_or_old_make_no_decision(world, series, metadata):
    world.market.series = {BTC: series} if series else {}
    failure = await world.decisions(a_model()).decide(SYMBOL_ONLY)
    assert failed_for(failure) is Reason.MARKET_DATA_STALE
    assert failure.metadata.items() >= metadata.items()
    assert world.journal.decisions == {}


async def test_two_hundred_and_fifty_bars_are_enough(world):
    world.market.series[BTC] = a_series(250)
    assert isinstance(await world.decisions(a_model()).decide(SYMBOL_ONLY), Decision)


async def test_a_server_that_cannot_compute_features_wants_them_sent(world):
    model = FakeModel(a_prediction(), computed=None)
    failure = await world.decisions(model).decide(SYMBOL_ONLY)
    assert (failed_for(failure), failure.field_name) == (Reason.MISSING_FEATURE, "features")
    assert "Send them" in failure.message
    assert isinstance(await world.decisions(model).decide(ASKED), Decision)


async def test_a_failed_computation_is_tried_again(world):
    model = a_model(SlowModel)
    model.go.set()
    model.down = True
    path = world.decisions(model)
    model.names = tuple(COMPUTED)
    live = path.decide(SYMBOL_ONLY)
    assert failed_for(await live) is Reason.MODEL_UNAVAILABLE
    model.down = False
    assert isinstance(await path.decide(SYMBOL_ONLY), Decision)


async def test_a_symbol_off_the_list_is_refused_before_its_bars_are_looked_at(world):
    model = a_model()
    failure = await world.decisions(model).decide(Question(symbol=Symbol("DOGEUSDT"), features={}))
    assert (failed_for(failure), model.series) == (Reason.SYMBOL_NOT_ALLOWED, [])


async def test_a_batch_may_mix_rows_with_and_without_features(world):
    model = a_model()
    decisions = await world.decisions(model).decide_many([ASKED, SYMBOL_ONLY, ASKED, SYMBOL_ONLY])
    assert [decision.features for decision in decisions] == [FEATURES, COMPUTED, FEATURES, COMPUTED]
    assert len(model.series) == 1


async def test_a_row_without_bars_refuses_the_batch_by_its_number(world):
    world.market.series = {}
    failure = await world.decisions(a_model()).decide_many([ASKED, SYMBOL_ONLY])
    assert failed_for(failure) is Reason.MARKET_DATA_STALE
    assert (failure.field_name, failure.metadata["row"]) == ("requests[1]", "1")
    assert world.journal.decisions == {}


@pytest.mark.parametrize("new_bar", [False, True])
@pytest.mark.parametrize("many", [False, True])
async def test_a_hot_switch_to_other_features_fails_nobody_who_sends_none(world, many, new_bar):
    model = a_model(SwitchingModel)
    path = world.decisions(model)
    for _ in range(2):
        await path.decide(SYMBOL_ONLY)
    model.switched = True
    if new_bar:
        world.clock.at_ms += HOUR_MS
        world.market.series[BTC] = a_series(301, newest_open_ms=BAR_MS + HOUR_MS)
    result = (await path.decide_many([SYMBOL_ONLY]))[0] if many else await path.decide(SYMBOL_ONLY)
    assert result.features == OTHERS


async def test_a_hot_switch_tells_who_sends_features_what_the_model_needs_now(world):
    model = a_model(SwitchingModel)
    model.switched = True
    assert failed_for(await world.decisions(model).decide(ASKED)) is Reason.UNKNOWN_FEATURE
    assert world.journal.decisions == {}


@pytest.mark.parametrize("sent", [FEATURES, FEATURES | OTHERS], ids=["a feature is missing now", "one is unknown now"])
async def test_inputs_that_change_under_way_send_no_row_of_others(world, sent):
    model = a_model(RelearningModel)
    model.names = tuple(sent)
    assert failed_for(await world.decisions(model).decide(replace(ASKED, features=sent))) is Reason.UNKNOWN_FEATURE
    assert model.seen == []


async def test_a_model_that_computes_other_features_than_it_takes_is_unavailable(world):
    path = world.decisions(a_model(computed=OTHERS))
    assert failed_for(await path.decide(SYMBOL_ONLY)) is Reason.MODEL_UNAVAILABLE
    assert failed_for(await path.decide_many([SYMBOL_ONLY])) is Reason.MODEL_UNAVAILABLE


async def test_features_of_the_caller_are_labelled_by_the_last_bar_that_has_closed(world):
    path = world.decisions(a_model())
    world.clock.at_ms = BAR_MS + 2 * HOUR_MS - 1
    assert (await path.decide(ASKED)).bar_open_ms == BAR_MS
    world.clock.at_ms += 1
    assert (await path.decide(ASKED)).bar_open_ms == BAR_MS + HOUR_MS


async def test_the_first_decision_of_a_symbol_bar_and_version_is_scored(world):
    model = a_model()
    path = world.decisions(model)
    decisions = [await path.decide(ASKED), *await path.decide_many([ASKED, SYMBOL_ONLY])]
    model.prediction = a_prediction(model_version="20261201_000000")
    decisions.append(await path.decide(ASKED))
    world.clock.at_ms += HOUR_MS
    decisions.append(await path.decide(ASKED))
    assert [decision.scored for decision in decisions] == [True, False, False, True, True]
    assert world.calibration.durable == decisions


async def test_a_model_of_other_bars_is_not_scored(world):
    path = world.decisions(a_model(bar_seconds=300))
    assert not (await path.decide(ASKED)).scored
    assert world.calibration.claims == set()


async def test_a_decision_that_cannot_be_kept_gives_its_claim_back(world):
    path = world.decisions(a_model())
    world.journal.full = True
    assert failed_for(await path.decide(ASKED)) is Reason.JOURNAL_UNAVAILABLE
    assert failed_for(await path.decide_many([ASKED, ASKED])) is Reason.JOURNAL_UNAVAILABLE
    assert (world.calibration.claims, world.calibration.durable) == (set(), [])
    world.journal.full = False
    assert (await path.decide(ASKED)).scored


async def test_claims_of_a_batch_that_stops_half_way_are_given_back(world):
    model = a_model()
    path = world.decisions(model)
    world.clock.at_ms = BAR_MS + 2 * HOUR_MS  # the newest bar has not arrived: the rows are of two bars
    world.calibration.claims_max = 1
    assert failed_for(await path.decide_many([ASKED, SYMBOL_ONLY])) is Reason.JOURNAL_UNAVAILABLE
    assert (world.calibration.claims, world.journal.decisions) == (set(), {})


async def test_features_of_a_bar_are_judged_by_that_bar_while_the_next_one_is_late(world):
    path = world.decisions(a_model())
    world.clock.at_ms = BAR_MS + 2 * HOUR_MS + 1_000
    assert (await path.decide(SYMBOL_ONLY)).bar_open_ms == BAR_MS
    assert (await path.decide(ASKED)).bar_open_ms == BAR_MS + HOUR_MS


async def test_a_caller_of_a_batch_who_hangs_up_leaves_it_recorded(world):
    kept = asyncio.Event()
    append = world.journal.append_decisions

    async def slowly(decisions):
        await kept.wait()
        await append(decisions)

    world.journal.append_decisions = slowly
    path = world.decisions(a_model())
    asking = asyncio.create_task(path.decide_many([ASKED, ASKED]))
    await asyncio.sleep(0.01)
    asking.cancel()
    await asyncio.sleep(0)
    kept.set()
    await asyncio.sleep(0.01)
    assert len(world.journal.decisions) == len(world.calibration.durable) == 2


async def test_what_is_recorded_of_a_version_is_taken_up_when_it_answers_first(world):
    model = a_model()
    path = world.decisions(model)
    await path.decide(ASKED)
    await path.decide(ASKED)
    model.prediction = a_prediction(model_version="20261201_000000")
    await path.decide(ASKED)
    assert world.calibration.loaded == [VERSION, "20261201_000000"]


async def test_the_watch_and_the_shadow_stand_in_the_decision(world):
    world.calibration.state, world.calibration.threshold, world.calibration.slope = WatchState.ABSTAINING, 0.65, 0.5
    decision = await world.decisions(a_model(shadow=a_shadow(), confidence=0.9)).decide(ASKED)
    assert (decision.reasons, decision.threshold) == ((Reason.CALIBRATION_DRIFT,), 0.65)
    assert (decision.model_confidence, decision.confidence) == (0.9, 0.75)
    assert decision.shadow == a_shadow()
    assert decision.at_ms == NOW_MS
