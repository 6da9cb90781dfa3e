"""The demonstration model: the factory's work on the simulated market.

It speaks for the simulated market alone and says so. Three choices differ from those for real bars; they were made on
other seeds of the market than the one that it is trained on:

- The logistic regression takes its features clipped at 0.3 standard deviations: the simulated edge saturates in
  momentum, and an unclipped line was 3 to 4 points of confidence off on average.
- The calibration is shrunk by 0.85, not 0.8: the market does not age, and each step of shrinking only makes the stated
  confidence too modest.
- The trees are smaller, so that the packaged graph stays small, and no age limit is set.
"""

from inference.core.features import DOCUMENTED
from inference.train.bars import Market, simulated_market
from inference.train.recipe import MemberSpec, Recipe, WalkSpec

VERSION = "20261124_000000"
"""The version that is packaged."""
SYMBOL, SEED, BARS = "BTCUSDT", 21, 60_000

RECIPE = Recipe(
    name="consensus",
    description=(
        "DEMONSTRATION ensemble trained on the simulated market of this project, whose direction can be forecast by "
        "design. It says nothing about any real market: do not trade on it."
    ),
    market="simulated",
    feature_names=DOCUMENTED,
    walk=WalkSpec(train_bars=40_000, test_bars=8_766),
    members=MemberSpec(
        logistic_clip_sigmas=0.3,
        boosting_rounds=80,
        boosting_leaves=8,
        boosting_leaf_rows=400,
        forest_trees=60,
        forest_depth=5,
        forest_leaf_rows=400,
    ),
    shrink=0.85,
    max_age_days=None,
)


def demo_market() -> Market:
    """The bars that it is trained on."""
    return simulated_market(symbol=SYMBOL, seed=SEED, count=BARS)
