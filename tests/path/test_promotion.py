"""The account's way from paper to live: who moves it, on what, and what holds a live start back."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from builders import HOUR_MS, NOW_MS, VERSION, a_policy, a_prediction
from evidence_kit import HEALTHY_ORDERS, a_history, outcomes
from fakes import FakeClock, FakeJournal, FakeModel

from gateway.adapters.promotion_key import promotion_key, promotion_record
from gateway.core.documents import DocumentKind
from gateway.core.facts import UNRESTRICTED
from gateway.core.history import History
from gateway.core.json_fields import RecordFormatError
from gateway.core.model import Failure
from gateway.core.promotion import Stage, next_stage
from gateway.core.promotion_records import Move, limits_of, signed_text, verified
from gateway.core.promotion_rules import LiveGate
from gateway.core.reasons import Reason
from gateway.ports import JournalUnavailableError, StartError
from gateway.promotion import Promotion

KEY = b"k" * 32
OTHER_VERSION = "20270101_000000"
LIMITS = limits_of(a_policy())
SMALL = outcomes(4_000)
"""Enough for the paper stages and the first live one, and quicker to judge."""


class FakeHistorian:
    """Tells one history, told apart by what it was asked for."""

    def __init__(self):
        self.history_now = a_history(outcomes=SMALL, decisions=len(SMALL))
        self.asked = []
        self.noted = 0

    async def history(self, *, model_version, promoted_version, from_ms, whole) -> History:
        self.asked.append((from_ms, whole))
        return replace(
            self.history_now, model_version=model_version, promoted_version=promoted_version, from_ms=from_ms
        )

    def note_drawdown(self):
        self.noted += 1


class Ladder:
    """A promotion over fakes, which can be restarted over the same journal."""

    def __init__(self, *, gate=None, journal=None, limits=LIMITS, real_market=True, key=KEY):
        self.clock = FakeClock(NOW_MS)
        self.journal = journal or FakeJournal()
        self.model = FakeModel(a_prediction(model_version=VERSION))
        self.historian = FakeHistorian()
        self.served = VERSION
        self.settings = {"gate": gate, "limits": limits, "real_market": real_market, "key": key}
        self.restart()

    def restart(self, **changes):
        self.settings |= changes
        self.promotion = Promotion(
            journal=self.journal,
            historian=self.historian,
            model=self.model,
            served=lambda: self.served,
            clock=self.clock,
            **self.settings,
        )

    async def started(self):
        await self.promotion.load()
        await self.promotion.begin()
        return self

    async def climb(self, *, to):
        while self.stage is not to:
            self.clock.at_ms += HOUR_MS
            moved = await self.promotion.promote(next_stage(self.stage), "ann", "reviewed")
            assert not isinstance(moved, Failure), moved
        return self

    @property
    def stage(self):
        return self.promotion.standing().stage

    @property
    def moves(self):
        return [(record.move, record.to_stage) for record in (verified(one.text, KEY) for one in self.journal.filed)]


def gate(env="demo", record_text="", override=""):
    return LiveGate(env=env, record_text=record_text, override=override)


MADE = {}


async def exported(to=Stage.LIVE_TINY, *, real_market=True):
    """The record of a paper gateway, made once for all tests."""
    if (to, real_market) not in MADE:
        paper = await (await Ladder(real_market=real_market).started()).climb(to=to)
        MADE[to, real_market] = paper.promotion.exported()
    return MADE[to, real_market]


# On paper


async def test_paper_begins_at_the_first_stage_with_no_cap_of_its_own():
    ladder = await Ladder().started()
    permission = ladder.promotion.permission()
    assert (permission.stage, permission.refusal, permission.cap_usd) == ("PAPER", "", None)
    assert ladder.promotion.standing().record is None
    assert ladder.journal.filed == []


async def test_a_healthy_account_is_promoted_stage_by_stage_up_to_live():
    ladder = await (await Ladder().started()).climb(to=Stage.LIVE_TINY)
    assert ladder.moves == [
        (Move.PROMOTION, stage)
        for stage in (
            Stage.PAPER_TINY,
            Stage.PAPER_SCALED_500,
            Stage.PAPER_SCALED_1000,
            Stage.PAPER_SCALED_2000,
            Stage.LIVE_TINY,
        )
    ]
    assert ladder.promotion.permission().cap_usd == Decimal(100)
    assert [document.kind for document in ladder.journal.filed] == [DocumentKind.PROMOTION] * 5


async def test_a_promotion_names_model_limits_criteria_actor_and_reason():
    ladder = await (await Ladder().started()).climb(to=Stage.PAPER_TINY)
    record = verified(ladder.journal.filed[0].text, KEY)
    assert (record.model_version, record.model_sha256) == (VERSION, "ab" * 32)
    assert record.limits == LIMITS
    assert (record.actor, record.reason, record.at_ms) == ("ann", "reviewed", NOW_MS + HOUR_MS)
    assert "error_rate" in {criterion.name for criterion in record.criteria}
    assert ladder.journal.filed[0].subject == "PAPER_TINY"


async def test_no_stage_is_left_out():
    ladder = await Ladder().started()
    refusal = await ladder.promotion.promote(Stage.PAPER_SCALED_500, "ann", "in a hurry")
    assert refusal.reason is Reason.PROMOTION_REFUSED
    assert refusal.message == "The account was not promoted: it stands at PAPER, and the next stage is PAPER_TINY."
    assert ladder.journal.filed == []


async def test_a_promotion_without_evidence_is_refused_with_the_criterion_and_its_figures():
    ladder = await Ladder().started()
    ladder.historian.history_now = a_history(outcomes=outcomes(1_200), decisions=1_500)
    refusal = await ladder.promotion.promote(Stage.PAPER_TINY, "ann", "in a hurry")
    assert refusal.message == (
        "The account was not promoted to PAPER_TINY: outcomes (not_enough): 1200 of at least 1500 matured decisions;"
        " 300 more are needed."
    )
    assert refusal.metadata == {
        "to": "PAPER_TINY",
        "criterion": "outcomes",
        "finding": "not_enough",
        "value": "1200",
        "limit": "1500",
        "needed_more": "300",
    }
    assert ladder.stage is Stage.PAPER


async def test_a_simulated_market_leads_as_far_as_paper_goes():
    ladder = await Ladder(real_market=False).started()
    ladder.historian.history_now = replace(ladder.historian.history_now, real_market=False)
    await ladder.climb(to=Stage.PAPER_SCALED_2000)
    refusal = await ladder.promotion.promote(Stage.LIVE_TINY, "ann", "why not")
    assert refusal.metadata["criterion"] == "real_market"


async def test_the_steps_between_live_stages_are_not_earned_on_paper():
    ladder = await (await Ladder().started()).climb(to=Stage.LIVE_TINY)
    refusal = await ladder.promotion.promote(Stage.LIVE_SCALED, "ann", "more")
    assert refusal.message.endswith("this step is earned in live trading, from the exported record on.")


async def test_a_promotion_that_cannot_be_journaled_is_none():
    ladder = await Ladder().started()
    ladder.journal.full = True
    with pytest.raises(JournalUnavailableError):
        await ladder.promotion.promote(Stage.PAPER_TINY, "ann", "reviewed")
    assert ladder.stage is Stage.PAPER


async def test_a_restart_keeps_the_stage():
    ladder = await (await Ladder().started()).climb(to=Stage.PAPER_SCALED_500)
    ladder.restart()
    await ladder.started()
    assert ladder.stage is Stage.PAPER_SCALED_500


async def test_evidence_for_a_stage_begins_with_the_stage_before_it():
    ladder = await (await Ladder().started()).climb(to=Stage.PAPER_SCALED_500)
    assert ladder.historian.asked == [(0, True), (NOW_MS + HOUR_MS, True)]


async def test_a_criterion_that_fails_takes_one_stage_once():
    ladder = await (await Ladder().started()).climb(to=Stage.PAPER_SCALED_1000)
    ladder.historian.history_now = replace(ladder.historian.history_now, unresolved=1)
    await ladder.promotion.look()
    await ladder.promotion.look()
    assert ladder.stage is Stage.PAPER_SCALED_500
    record = ladder.promotion.standing().record
    assert (record.move, record.actor) == (Move.DEMOTION, "tollgate")
    assert record.reason.startswith("no_unresolved_order: 1 orders have had no known end")
    ladder.historian.history_now = replace(ladder.historian.history_now, unresolved=0)
    await ladder.promotion.look()
    ladder.historian.history_now = replace(ladder.historian.history_now, unresolved=1)
    await ladder.promotion.look()
    assert ladder.stage is Stage.PAPER_TINY


async def test_no_look_ever_promotes():
    ladder = await (await Ladder().started()).climb(to=Stage.PAPER_TINY)
    for _ in range(3):
        await ladder.promotion.look()
    assert ladder.stage is Stage.PAPER_TINY


async def test_what_is_missing_takes_no_stage():
    ladder = await (await Ladder().started()).climb(to=Stage.PAPER_TINY)
    ladder.historian.history_now = a_history(outcomes=(), orders=(), decisions=0, days=0)
    await ladder.promotion.look()
    assert ladder.stage is Stage.PAPER_TINY


async def test_another_model_begins_anew_on_paper():
    ladder = await (await Ladder().started()).climb(to=Stage.PAPER_SCALED_500)
    ladder.served = OTHER_VERSION
    await ladder.promotion.look()
    assert ladder.stage is Stage.PAPER
    assert ladder.promotion.standing().record.reason == (
        f"the promotion is for the model {VERSION}, and {OTHER_VERSION} is served"
    )
    await ladder.climb(to=Stage.PAPER_TINY)
    assert ladder.promotion.standing().record.model_version == OTHER_VERSION


async def test_other_limits_begin_anew_on_paper():
    ladder = await (await Ladder().started()).climb(to=Stage.PAPER_TINY)
    ladder.restart(limits=LIMITS | {"symbol_cap_usd": "9000"})
    await ladder.started()
    await ladder.promotion.look()
    assert ladder.stage is Stage.PAPER
    assert ladder.promotion.standing().record.move is Move.RESTART


async def test_a_model_that_is_down_for_a_moment_changes_nothing():
    ladder = await (await Ladder().started()).climb(to=Stage.PAPER_TINY)
    ladder.served, ladder.model.down = None, True
    await ladder.promotion.look()
    assert ladder.stage is Stage.PAPER_TINY


async def test_a_person_demotes_one_stage_at_a_time():
    ladder = await (await Ladder().started()).climb(to=Stage.PAPER_SCALED_500)
    moved = await ladder.promotion.demote("ann", "a quiet week")
    assert (moved.to_stage, moved.actor, moved.reason) == (Stage.PAPER_TINY, "ann", "a quiet week")
    await ladder.promotion.demote("ann", "quieter")
    refusal = await ladder.promotion.demote("ann", "quieter still")
    assert refusal.message == "The account was not demoted: there is no stage below."


async def test_a_demotion_earns_nothing():
    """It keeps the model, limits and market of the stage that it leaves."""
    ladder = await (await Ladder().started()).climb(to=Stage.PAPER_SCALED_500)
    ladder.restart(limits=LIMITS | {"drawdown_max": "0.5"}, real_market=False)
    await ladder.started()
    moved = await ladder.promotion.demote("ann", "sly")
    assert (moved.limits, moved.real_market) == (LIMITS, True)


async def test_a_changed_record_counts_for_nothing_on_paper():
    ladder = await (await Ladder().started()).climb(to=Stage.PAPER_TINY)
    ladder.journal.filed[0] = replace(ladder.journal.filed[0], text=ladder.journal.filed[0].text.replace("TINY", "XXL"))
    ladder.restart()
    await ladder.started()
    assert ladder.stage is Stage.PAPER


async def test_the_evidence_is_told_for_the_next_stage():
    ladder = await Ladder().started()
    judged = await ladder.promotion.judge()
    assert (judged.stage, judged.next_stage, len(judged.criteria)) == (Stage.PAPER, Stage.PAPER_TINY, 19)


# Live


async def test_live_does_not_start_without_a_record():
    with pytest.raises(StartError, match="live trading on demo is refused: it has no record of a promotion"):
        await Ladder(gate=gate()).started()


async def test_live_starts_with_the_record_that_paper_exported():
    live = await Ladder(gate=gate(record_text=await exported())).started()
    permission = live.promotion.permission()
    assert (permission.stage, permission.refusal, permission.cap_usd) == ("LIVE_TINY", "", Decimal(100))
    assert live.moves == [(Move.PROMOTION, Stage.LIVE_TINY)]
    live.restart()
    await live.started()
    assert live.moves == [(Move.PROMOTION, Stage.LIVE_TINY)]
    live.restart(gate=gate())
    await live.started()
    assert live.stage is Stage.LIVE_TINY


async def test_live_does_not_start_with_a_record_for_another_model():
    live = Ladder(gate=gate(record_text=await exported()))
    live.served = OTHER_VERSION
    with pytest.raises(StartError, match=f"for the model {VERSION}, and {OTHER_VERSION} is served"):
        await live.started()


async def test_live_does_not_start_with_another_graph_under_the_same_version():
    live = Ladder(gate=gate(record_text=await exported()))
    live.model.sha256 = "cd" * 32
    with pytest.raises(StartError, match="the graph of the model"):
        await live.started()


async def test_live_does_not_start_under_other_limits():
    live = Ladder(gate=gate(record_text=await exported()), limits=LIMITS | {"symbol_cap_usd": "50000"})
    with pytest.raises(StartError, match="the promotion is for symbol_cap_usd 5000, and 50000 is set"):
        await live.started()


@pytest.mark.parametrize("old", ['"LIVE_TINY"', "reviewed", VERSION, '"5000"', "true"])
async def test_live_does_not_start_with_a_tampered_record(old):
    text = await exported()
    new = {'"LIVE_TINY"': '"LIVE"', "true": "false"}.get(old, old[:-1] + ("X" if old.isalpha() else '9"'))
    tampered = text.replace(old, new, 1)
    assert tampered != text
    with pytest.raises(StartError, match="live trading is refused: PROMOTION_RECORD: promotion record: "):
        await Ladder(gate=gate(record_text=tampered)).started()


async def test_live_does_not_start_with_a_record_of_another_installation():
    with pytest.raises(StartError, match="its signature is not that of this installation's key"):
        await Ladder(gate=gate(record_text=await exported()), key=b"x" * 32).started()


async def test_live_does_not_start_with_a_journal_whose_record_was_changed():
    live = await Ladder(gate=gate(record_text=await exported())).started()
    live.journal.filed[0] = replace(live.journal.filed[0], text=live.journal.filed[0].text.replace("ann", "bob"))
    live.restart(gate=gate())
    with pytest.raises(StartError, match="the journal's promotion record: its signature"):
        await live.started()


async def test_live_does_not_start_with_a_paper_stage():
    live = Ladder(gate=gate(record_text=await exported(Stage.PAPER_SCALED_2000)))
    with pytest.raises(StartError, match="stands at PAPER_SCALED_2000, which is no live stage"):
        await live.started()


async def test_live_does_not_start_with_evidence_of_a_simulated_market():
    record = replace(verified(await exported(), KEY), real_market=False)
    with pytest.raises(StartError, match="its evidence is of a simulated market, which never counts for live"):
        await Ladder(gate=gate(record_text=signed_text(record, KEY))).started()


async def test_live_starts_with_an_override_and_says_so():
    live = await Ladder(gate=gate(env="mainnet", override="ann answers for 100 USD")).started()
    assert live.promotion.permission() == UNRESTRICTED
    assert live.promotion.standing().override == "ann answers for 100 USD"
    record = verified(live.journal.filed[0].text, KEY)
    assert (live.journal.filed[0].subject, record.move, record.reason) == (
        "OVERRIDE",
        Move.OVERRIDE,
        "ann answers for 100 USD",
    )


async def test_an_override_is_not_needed_and_not_told_beside_a_valid_record():
    live = await Ladder(gate=gate(record_text=await exported(), override="to be safe")).started()
    assert live.promotion.standing().override == ""
    assert live.stage is Stage.LIVE_TINY


async def test_an_override_ends_with_its_process():
    live = await Ladder(gate=gate(override="a drill")).started()
    live.restart(gate=gate())
    with pytest.raises(StartError, match="no record of a promotion"):
        await live.started()


async def test_every_live_order_is_held_against_the_served_model():
    live = await Ladder(gate=gate(record_text=await exported())).started()
    live.served = OTHER_VERSION
    assert live.promotion.permission().refusal == (
        f"the promotion is for the model {VERSION}, and {OTHER_VERSION} is served"
    )
    live.served = VERSION
    assert live.promotion.permission().refusal == ""


async def test_live_without_a_known_model_starts_and_opens_nothing():
    live = Ladder(gate=gate(record_text=await exported()))
    live.served, live.model.down = None, True
    await live.started()
    assert live.promotion.permission().refusal.startswith("no model is known to be served")
    live.served = VERSION
    assert live.promotion.permission().refusal == ""


async def test_live_is_demoted_to_paper_and_an_old_record_does_not_lift_it_again():
    text = await exported()
    live = await Ladder(gate=gate(record_text=text)).started()
    live.clock.at_ms += 100 * HOUR_MS
    live.historian.history_now = replace(live.historian.history_now, breaches=("drawdown",))
    await live.promotion.look()
    assert live.promotion.permission().refusal == "the account stands at PAPER_SCALED_2000, which is no live stage"
    live.restart()
    with pytest.raises(StartError, match="no live stage"):
        await live.started()


async def test_the_next_live_stage_is_earned_live():
    live = await Ladder(gate=gate(record_text=await exported())).started()
    live.historian.history_now = a_history(orders=HEALTHY_ORDERS)
    await live.climb(to=Stage.LIVE)
    permission = live.promotion.permission()
    assert (permission.stage, permission.refusal, permission.cap_usd) == ("LIVE", "", None)
    assert (await live.promotion.judge()).next_stage is None


async def test_a_simulated_exchange_asks_for_no_promotion_and_takes_a_paper_one():
    sandbox = await Ladder(gate=gate(env="simulator")).started()
    assert sandbox.promotion.permission() == UNRESTRICTED
    text = await exported(Stage.PAPER_SCALED_500, real_market=False)
    sandbox = await Ladder(gate=gate(env="simulator", record_text=text), real_market=False).started()
    assert sandbox.promotion.permission().cap_usd == Decimal(500)
    with pytest.raises(StartError, match="no live stage"):
        await Ladder(gate=gate(record_text=text)).started()


# The signed record and its files


async def test_a_record_reads_back_as_it_was_written():
    text = await exported()
    assert signed_text(verified(text, KEY), KEY) == text
    assert json.loads(text)["signature"] == text.split('"signature":"')[1][:64]


def test_what_is_no_record_is_refused():
    for text in ("", "{}", "[]", "not json", '{"v":1}'):
        with pytest.raises(RecordFormatError):
            verified(text, KEY)


def test_a_key_is_made_once_for_its_owner_alone(tmp_path):
    path = tmp_path / "new" / "promotion.key"
    key = promotion_key(path)
    assert len(key) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert promotion_key(path) == key
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("content", ["", "zz", "ab" * 31])
def test_a_file_that_is_no_key_is_refused(tmp_path, content):
    path = tmp_path / "promotion.key"
    path.write_text(content)
    with pytest.raises(StartError, match="holds no key of promotions"):
        promotion_key(path)


def test_a_record_that_cannot_be_read_is_told(tmp_path):
    assert promotion_record("") == ""
    with pytest.raises(StartError, match="PROMOTION_RECORD"):
        promotion_record(str(tmp_path / "missing"))
