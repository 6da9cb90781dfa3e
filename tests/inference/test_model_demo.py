"""The packaged demonstration model."""

from pathlib import Path

import numpy as np
import pytest

from inference.adapters.model_onnx import OnnxEnsemble, load_ensemble
from inference.core.consensus import OUTPUTS
from inference.core.features import DOCUMENTED
from inference.core.gates import faults_of
from inference.train import demo
from inference.train.members import MEMBER_NAMES

MODELS = Path(__file__).parents[2] / "inference" / "models"


@pytest.fixture(scope="module")
def packaged() -> OnnxEnsemble:
    return load_ensemble(MODELS, demo.RECIPE.name, None)


def test_it_is_the_version_of_the_recipe_passes_its_gates_and_says_what_it_is(packaged: OnnxEnsemble) -> None:
    card = packaged.card
    assert card.version == demo.VERSION
    assert faults_of(card) == ()
    assert "DEMONSTRATION" in card.description
    assert "simulated market" in card.data.source
    assert (card.market, card.max_age_days, card.feature_names) == ("simulated", None, DOCUMENTED)
    assert card.members == MEMBER_NAMES
    assert not card.overrides
    assert not card.git_commit.endswith("-dirty")


def test_it_is_small_and_its_graph_has_few_nodes(packaged: OnnxEnsemble) -> None:
    folder = MODELS / demo.RECIPE.name / demo.VERSION
    assert (folder / "model.onnx").stat().st_size < 600_000
    assert packaged.card.export.nodes <= 20
    assert [path.name for path in folder.parent.iterdir()] == [demo.VERSION]


def test_it_answers_the_documented_call_as_documented(packaged: OnnxEnsemble) -> None:
    scores = packaged.score(np.array([[1.2, 0.8, 62.0]], np.float32))
    assert 0.70 <= scores.prob_long[0, 0] <= 0.80
    assert 0.60 <= scores.confidence[0, 0] <= 0.70
    assert scores.dissimilarity[0, 0] < 1.0
    assert scores.disagreement[0, 0] < 0.05
    assert all(getattr(scores, name).dtype == np.float32 for name in OUTPUTS)


def test_it_says_about_the_same_of_a_broad_upward_region(packaged: OnnxEnsemble) -> None:
    axes = np.meshgrid(np.linspace(0.8, 4, 12), np.linspace(0.4, 2, 12), np.linspace(55, 70, 12))
    scores = packaged.score(np.column_stack([axis.ravel() for axis in axes]).astype(np.float32))
    assert ((scores.prob_long >= 0.68) & (scores.prob_long <= 0.80)).all()
    assert ((scores.confidence >= 0.60) & (scores.confidence <= 0.72)).all()
    assert (scores.dissimilarity < 1.0).all()


def test_it_is_within_five_points_on_later_data(packaged: OnnxEnsemble) -> None:
    figures = packaged.card.validation.figures
    assert figures.ece.high < 0.05
    assert figures.hit_rate_at_threshold is not None
    assert figures.mean_confidence_at_threshold is not None
    assert abs(figures.hit_rate_at_threshold - figures.mean_confidence_at_threshold) <= 0.05
    assert figures.auc.low > 0.7


def test_what_no_market_ever_looked_like_is_dissimilar(packaged: OnnxEnsemble) -> None:
    assert packaged.score(np.array([[80.0, 30.0, 5.0]], np.float32)).dissimilarity[0, 0] > 1.0
