"""report.html says what was measured, to a person, from one file."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_kit import some_card, some_predictions, some_rows

from inference.core.card import Bucket, Card
from inference.core.features import DOCUMENTED
from inference.core.gates import gates
from inference.train.metrics import wilson
from inference.train.predictions import Predictions
from inference.train.report import FeatureRows, ReportFaultError, report_html, write_report
from inference.train.report_series import auc_of, equity_of, roc_of, stability_index, stability_noise
from inference.train.report_words import verdict_of

PLOTS = ("reliability", "gaps", "roc", "scores", "folds", "errors", "equity", "drift")
PLAIN_AUC = {"value": 0.55, "low": 0.53, "high": 0.57}
VOID = {"meta", "br", "path", "use", "rect", "circle"}


class Page(HTMLParser):
    """What a browser would find: elements that close, their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.wrong: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def predictions() -> Predictions:
    return some_predictions()


@pytest.fixture(scope="module")
def card(predictions: Predictions) -> Card:
    return some_card(predictions)


@pytest.fixture(scope="module")
def html(card: Card, predictions: Predictions) -> str:
    return report_html(card=card, predictions=predictions, feature_rows=some_rows(predictions))


@pytest.fixture(scope="module")
def few() -> Predictions:
    return some_predictions(rows=1200, folds=2)


def page_of(predictions: Predictions, **changes: object) -> Page:
    card = some_card(predictions, DOCUMENTED, **changes)
    return Page(report_html(card=card, predictions=predictions, feature_rows=some_rows(predictions, DOCUMENTED)))


def test_the_page_is_whole_html_and_each_id_is_there_once(html: str) -> None:
    page = Page(html)
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert (page.wrong, page.open) == ([], [])
    assert len(ids) == len(set(ids))


def test_the_page_needs_nothing_from_outside_and_runs_nothing(html: str) -> None:
    page = Page(html)
    linked = [value for _, attributes in page.found for name, value in attributes.items() if name in {"src", "href"}]
    tags = {tag for tag, _ in page.found}
    assert [target for target in linked if not target.startswith("#")] == []
    assert tags & {"script", "iframe", "object", "embed", "link", "img", "image", "base", "form"} == set()
    assert [
        name for _, attributes in page.found for name in attributes if name.startswith("on") or name == "style"
    ] == []
    assert re.findall(r"@import|https?://|url\((?!#)", html) == []


def test_the_policy_lets_through_the_pages_own_style_and_nothing_else(html: str) -> None:
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    metas = [attributes for tag, attributes in Page(html).found if tag == "meta"]
    assert [meta["content"] for meta in metas if meta.get("http-equiv") == "Content-Security-Policy"] == [policy]


def test_every_reference_inside_a_plot_leads_to_a_part_of_it(html: str) -> None:
    ids = {attributes["id"] for _, attributes in Page(html).found if "id" in attributes}
    assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', html)) != set()
    named = {first or second for first, second in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', html)}
    assert named <= ids


def test_every_plot_is_there_and_says_in_words_what_it_shows(html: str) -> None:
    page = Page(html)
    figures = [attributes["id"] for tag, attributes in page.found if tag == "figure"]
    alts = [attributes for tag, attributes in page.found if tag == "svg"]
    assert sorted(figures) == sorted(PLOTS)
    assert len(alts) == len(PLOTS)
    assert all(alt["role"] == "img" and len(alt["aria-label"]) > 60 for alt in alts)


def test_every_gate_canary_feature_and_member_is_named(html: str, card: Card) -> None:
    text = Page(html).text
    named = [gate.name for gate in gates(card)] + [canary.name for canary in card.validation.canaries]
    named += [*card.feature_names, *card.members, *card.libraries, card.git_commit, card.sha256, card.data.sha256]
    assert [name for name in named if name not in text] == []


def test_the_key_figures_stand_beside_a_coin_and_the_honest_range(html: str) -> None:
    text = Page(html).text
    assert "AUC 0.556 (0.549 to 0.563) coin 0.5 honest at this horizon: 0.53 to 0.58" in re.sub(r" +", " ", text)
    assert "coin 0.6931" in text
    assert "May be served: it passes all 9 gates." in text


def test_an_edge_below_its_costs_is_called_a_loss(html: str) -> None:
    text = Page(html).text
    assert "Acting on it loses money" in text
    assert "The edge is smaller than its costs." in text


@pytest.mark.parametrize(
    ("net", "said"),
    [
        ((-6.0, -9.0, -3.0), "Acting on it loses money"),
        ((-6.0, -20.0, 8.0), "though chance alone might do it"),
        ((6.0, -8.0, 20.0), "an interval that holds zero"),
        ((6.0, 3.0, 9.0), "before spread, slippage and funding"),
    ],
)
def test_the_sentence_on_costs_goes_no_further_than_the_interval(
    few: Predictions, net: tuple[float, float, float], said: str
) -> None:
    value, low, high = net
    card = some_card(few, DOCUMENTED, figures={"net_edge_bps": {"value": value, "low": low, "high": high}})
    assert said in verdict_of(card).sentences[-1]


def test_a_bucket_beyond_the_drawing_stands_in_the_table(few: Predictions) -> None:
    card = some_card(few, DOCUMENTED)
    odd = Bucket(low=0.65, high=0.7, count=8, mean_confidence=0.66, hit_rate=wilson(0.25, 8))
    checks = card.validation.model_copy(update={"reliability": (card.validation.reliability[0], odd)})
    page = report_html(
        card=card.model_copy(update={"validation": checks}), predictions=few, feature_rows=some_rows(few, DOCUMENTED)
    )
    assert "25.0 % (7.1 to 59.1)" in Page(page).text


def test_a_demonstration_carries_a_banner_and_a_model_of_a_real_market_does_not(html: str, few: Predictions) -> None:
    assert "DEMONSTRATION MODEL" not in Page(html).text
    page = page_of(few, market="simulated")
    assert "DEMONSTRATION MODEL" in page.text
    assert "no honest range: a simulated market" in page.text


def test_a_model_that_a_gate_holds_back_is_not_to_be_served(few: Predictions) -> None:
    text = page_of(few, figures={"auc": PLAIN_AUC, "log_loss": 0.71}).text
    assert "Not to be served: held back by 1 of 9 gates." in text
    assert "Held by gate log_loss: 0.71 against a limit of 0.6932." in text


def test_an_override_is_told_with_its_reason_and_its_effect(few: Predictions) -> None:
    overrides = (
        {"gate": "log_loss", "reason": "kept as a baseline to compare with"},
        {"gate": "export_flips", "reason": "nobody may say this at all"},
        {"gate": "nothing", "reason": "there is no gate of that name"},
        {"gate": "too_good", "reason": "not needed, it is not too good"},
    )
    text = page_of(few, figures={"auc": PLAIN_AUC, "log_loss": 0.71}, overrides=overrides).text
    assert "May be served, because a person let it pass 1 of 9 gates." in text
    assert "A person let it pass the gate log_loss: kept as a baseline to compare with" in text
    assert "lets the model pass" in text
    assert "no effect: this gate cannot be overridden" in text
    assert "no effect: there is no such gate" in text
    assert "no effect: the gate passes by itself" in text


def test_an_auc_above_the_honest_range_is_called_a_leak(few: Predictions) -> None:
    text = page_of(few, figures={"auc": {"value": 0.66, "low": 0.63, "high": 0.69}}).text
    assert "It looks too good" in text
    assert "a leak until shown otherwise" in text


def test_an_auc_whose_interval_holds_one_half_is_called_a_coin(few: Predictions) -> None:
    assert (
        "It cannot be told from a coin"
        in page_of(few, figures={"auc": {"value": 0.51, "low": 0.49, "high": 0.53}}).text
    )


def test_without_a_trade_the_page_says_so_everywhere(few: Predictions) -> None:
    page = page_of(replace(few, confidence=np.minimum(few.confidence, 0.59)))
    assert "No row reached the confidence of 60.0 %" in page.text
    assert "Without a trade nothing can be said of what is left after costs." in page.text
    assert "no trade at this threshold" in page.text
    assert "Net edge of a trade not measured" in re.sub(r" +", " ", page.text)
    alts = [attributes["aria-label"] for tag, attributes in page.found if tag == "svg"]
    assert any("No trade: no row reached" in alt for alt in alts)


def test_what_was_not_measured_is_said_not_left_blank(few: Predictions) -> None:
    changes = {"error_by_disagreement": (), "error_by_dissimilarity": ()}
    page = page_of(few, figures=changes, max_age_days=None)
    alts = " ".join(attributes["aria-label"] for tag, attributes in page.found if tag == "svg")
    assert "by disagreement: not measured; by dissimilarity: not measured" in alts
    assert "no limit" in page.text
    assert "Its card sets no limit of age." in page.text


def test_a_card_without_canaries_is_not_called_free_of_leaks(few: Predictions) -> None:
    card = some_card(few, DOCUMENTED)
    bare = card.model_copy(update={"validation": card.validation.model_copy(update={"canaries": ()})})
    page = Page(report_html(card=bare, predictions=few, feature_rows=some_rows(few, DOCUMENTED)))
    assert "No canary was run" in page.text


def test_rows_with_one_outcome_alone_still_make_a_page(few: Predictions) -> None:
    page = page_of(replace(few, up=np.ones_like(few.up)))
    assert "only one outcome occurred" in page.text
    assert "consensus, their mean not measured" in re.sub(r" +", " ", page.text)
    assert "nothing before falls, as there were none" in page.text


def test_signs_of_html_and_of_formulas_in_the_card_are_only_text(few: Predictions) -> None:
    wild = '<script>alert("1")</script> & $x_1$ {{ 7 * 7 }}'
    members = ("a<b>", "$c_d$", 'e"f')
    text = page_of(few, description=wild, members=members, overrides=({"gate": wild, "reason": wild},))
    assert wild in text.text
    assert "script" not in {tag for tag, _ in text.found}
    assert [name for name in members if name not in text.text] == []


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path, few: Predictions) -> None:
    card, rows = some_card(few, DOCUMENTED), some_rows(few, DOCUMENTED)
    for name in ("a.html", "b.html"):
        write_report(tmp_path / name, card=card, predictions=few, feature_rows=rows)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_the_page_stays_small(html: str) -> None:
    many = some_predictions(rows=90_000, folds=24, members=9, skill=0.9)
    large = report_html(card=some_card(many), predictions=many, feature_rows=some_rows(many))
    assert len(html.encode()) < 300_000
    assert len(large.encode()) < 600_000


def test_predictions_and_rows_of_another_model_are_refused(few: Predictions) -> None:
    card, rows = some_card(few, DOCUMENTED), some_rows(few, DOCUMENTED)

    def refused(predictions: Predictions, given_rows: FeatureRows) -> str:
        with pytest.raises(ReportFaultError) as caught:
            report_html(card=card, predictions=predictions, feature_rows=given_rows)
        return str(caught.value)

    other = some_predictions(rows=1300, folds=3)
    assert "rows: 1300 where 1200 belong to the card" in refused(other, some_rows(other, DOCUMENTED))
    assert "members" in refused(replace(few, members=few.members[:, :2]), rows)
    assert "deciles" in refused(few, replace(rows, deciles=rows.deciles[:2]))
    assert "not those of the predictions" in refused(few, replace(rows, closed_ms=rows.closed_ms + 1))


def test_the_thinned_roc_curve_keeps_its_ends_and_its_area(predictions: Predictions) -> None:
    curve = roc_of(predictions)
    whole = auc_of(predictions.prob_long, predictions.up, horizon_bars=1)
    assert curve is not None
    assert whole is not None
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0.0, 0.0, 1.0, 1.0)
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(whole.value, abs=2e-3)


def test_overlapping_labels_widen_the_interval_of_an_auc(predictions: Predictions) -> None:
    apart = auc_of(predictions.prob_long, predictions.up, horizon_bars=1)
    overlapping = auc_of(predictions.prob_long, predictions.up, horizon_bars=4)
    assert apart is not None
    assert overlapping is not None
    assert overlapping.high - overlapping.low == pytest.approx(2 * (apart.high - apart.low), rel=0.01)


def test_the_interval_of_an_auc_covers_what_chance_does() -> None:
    chance = np.random.default_rng(3)
    inside = 0
    for _ in range(300):
        found = auc_of(chance.normal(size=400), chance.random(400) < 0.5, horizon_bars=1)
        inside += found is not None and found.low <= 0.5 <= found.high
    assert 276 <= inside <= 296


@given(st.floats(0, 1), st.integers(1, 100_000))
def test_wilsons_interval_holds_its_share_and_stays_within_0_and_1(share: float, count: int) -> None:
    found = wilson(share, count)
    assert 0.0 <= found.low <= share <= found.high <= 1.0


def test_wilsons_interval_is_the_textbooks() -> None:
    found = wilson(0.5, 385)
    assert (found.low, found.high) == (pytest.approx(0.4503, abs=1e-4), pytest.approx(0.5497, abs=1e-4))


def test_equity_adds_up_every_trade_less_two_fees_and_keeps_its_extremes(predictions: Predictions) -> None:
    found = equity_of(predictions, threshold=0.55, fee_bps=5.5)
    assert found is not None
    chosen = predictions.confidence >= 0.55
    gains = 1e4 * np.where(predictions.favours_long, 1, -1)[chosen] * np.expm1(predictions.forward_return[chosen])
    gross, net = np.cumsum(gains), np.cumsum(gains - 11.0)
    assert found.trades == int(chosen.sum()) > 5000
    assert found.gross_bps.size <= 1602
    assert (found.gross_bps[-1], found.net_bps[-1]) == (pytest.approx(gross[-1]), pytest.approx(net[-1]))
    assert (found.net_bps.min(), found.net_bps.max()) == (pytest.approx(net.min()), pytest.approx(net.max()))
    assert found.drawdown_bps == pytest.approx((np.maximum.accumulate(np.append(0, net)) - np.append(0, net)).max())


def test_rows_like_the_training_ones_stay_below_the_noise_of_the_stability_index() -> None:
    chance = np.random.default_rng(5)
    deciles = np.quantile(chance.normal(size=400_000), np.arange(1, 10) / 10)
    found = [stability_index(chance.normal(size=1000).astype(np.float32), deciles) for _ in range(300)]
    beyond = sum(index > stability_noise(1000, 1.0) for index in found)
    assert 5 <= beyond <= 30


def test_a_shift_of_a_quarter_deviation_shows_in_the_stability_index() -> None:
    chance = np.random.default_rng(5)
    deciles = np.quantile(chance.normal(size=400_000), np.arange(1, 10) / 10)
    shifted = stability_index(chance.normal(0.25, 1.0, 20_000).astype(np.float32), deciles)
    assert shifted == pytest.approx(0.07, abs=0.015)


def test_a_feature_of_few_values_does_not_drift_by_lying_on_its_deciles() -> None:
    hours = np.sin(2 * np.pi * np.tile(np.arange(24), 400) / 24)
    deciles = np.quantile(hours, np.arange(1, 10) / 10)
    assert stability_index(hours.astype(np.float32), deciles) < 1e-3
    assert stability_index(np.abs(hours).astype(np.float32), deciles) > 0.5


def test_rows_that_all_lie_in_one_tenth_have_a_finite_index() -> None:
    assert np.isfinite(stability_index(np.full(500, 99.0, np.float32), np.arange(9.0)))
