"""An evaluation as text for a person, and as JSON for a program."""

import dataclasses
from collections.abc import Iterator

from inference.core.card import Interval
from inference.train.evaluate import Evaluation, moment
from inference.train.members import MEMBER_NAMES
from inference.train.metrics import fold_buckets
from inference.train.targets import Target, interval_text, targets_of

_BUCKET_ROWS = (200, 400, 800)


def lines_of(evaluation: Evaluation) -> Iterator[str]:
    """Every figure, line by line."""
    yield from _head(evaluation)
    yield from _folds(evaluation)
    yield from _targets(evaluation)
    yield from _figures(evaluation)
    yield from _reliability(evaluation)
    yield from _canaries(evaluation)


def json_of(evaluation: Evaluation) -> dict[str, object]:
    """The same as plain values."""
    recipe = evaluation.recipe
    return {
        "markets": [
            {"symbol": market.symbol, "source": market.source, "bars": len(market.bars), "sha256": market.sha256}
            for market in evaluation.markets
        ],
        "recipe": dataclasses.asdict(recipe),
        "figures": evaluation.figures.model_dump(mode="json"),
        "member_auc": dict(zip(MEMBER_NAMES, evaluation.member_auc, strict=True)),
        "folds": [fold.model_dump(mode="json") for fold in evaluation.folds],
        "fold_buckets": [dataclasses.asdict(fold_buckets(evaluation.predictions, rows)) for rows in _BUCKET_ROWS],
        "reliability": [bucket.model_dump(mode="json") for bucket in evaluation.reliability],
        "canaries": [canary.model_dump(mode="json") for canary in evaluation.canaries],
        "targets": [dataclasses.asdict(target) for target in targets_of(evaluation)],
    }


def _head(evaluation: Evaluation) -> Iterator[str]:
    recipe, label, walk = evaluation.recipe, evaluation.recipe.label, evaluation.recipe.walk
    for market in evaluation.markets:
        first, last = (moment(int(market.bars.open_time_ms[row])) for row in (0, -1))
        bars = market.bars
        yield f"{market.symbol}, {market.source}: {len(bars)} bars of {bars.bar_seconds} s, opened {first} to {last}"
    names = recipe.feature_names
    yield f"  {len(names)} features: {', '.join(names)}"
    yield f"  label {label.kind} over {label.horizon_bars} bars; {recipe.calibration} times {recipe.shrink:g}"
    yield (
        f"  walk-forward: {walk.train_bars} bars train ({walk.calibrate_share:.0%} of them calibrate), "
        f"{walk.test_bars} test, purge {label.horizon_bars} + embargo {walk.embargo_bars} bars at both joints"
    )


def _folds(evaluation: Evaluation) -> Iterator[str]:
    yield f"  {len(evaluation.folds)} folds, {evaluation.figures.rows} rows that came later than all that was fitted:"
    yield "    from        to          rows    AUC     log loss  ECE     slope"
    for fold in evaluation.folds:
        yield (
            f"    {fold.start[:10]}  {fold.end[:10]}  {fold.rows:6d}  {fold.auc:.4f}  {fold.log_loss:.4f}    "
            f"{fold.ece:.4f}  {fold.slope:.3f}"
        )


def _targets(evaluation: Evaluation) -> Iterator[str]:
    yield "  against the targets:"
    yield from (
        f"    {target.name:44} {target.value:44} {_judged(target)}".rstrip() for target in targets_of(evaluation)
    )


def _judged(target: Target) -> str:
    if target.met is None:
        return ""
    return f"{target.expected:9} {'met' if target.met else 'MISSED'}"


def _figures(evaluation: Evaluation) -> Iterator[str]:
    figures, said = evaluation.figures, evaluation.predictions
    each = zip(MEMBER_NAMES, evaluation.member_auc, strict=True)
    yield "  further figures:"
    yield f"    AUC of the members by themselves: {', '.join(f'{name} {auc:.4f}' for name, auc in each)}"
    yield (
        f"    Brier {figures.brier:.6f} = reliability {figures.brier_reliability:.6f} - resolution "
        f"{figures.brier_resolution:.6f} + uncertainty {figures.brier_uncertainty:.6f}"
    )
    yield f"    calibration slope {interval_text(figures.calibration_slope, 3)}"
    yield f"    hit rate of all signals {figures.hit_rate:.4f}, share of rises {figures.base_rate:.4f}"
    yield f"    edge of a trade at the threshold before fees {_bps(figures.gross_edge_bps)}"
    yield f"    after two taker fees of {figures.fee_bps:g} bps {_bps(figures.net_edge_bps)}"
    for rows in _BUCKET_ROWS:
        found = fold_buckets(said, rows)
        yield f"    fold-buckets of n >= {rows}: {found.kept} of {found.count} within 5 points"
    yield f"    wrong by tenths of rising disagreement:  {_shares(figures.error_by_disagreement)}"
    yield f"    wrong by tenths of rising dissimilarity: {_shares(figures.error_by_dissimilarity)}"


def _bps(interval: Interval | None) -> str:
    return "none: no trade" if interval is None else f"{interval_text(interval, 2)} bps"


def _shares(shares: tuple[float, ...]) -> str:
    return " ".join(f"{share:.3f}" for share in shares)


def _reliability(evaluation: Evaluation) -> Iterator[str]:
    yield "  reliability, all folds together:"
    yield "    confidence         rows   stated  hit"
    for bucket in evaluation.reliability:
        yield (
            f"    {bucket.low:.3f} to {bucket.high:.3f}  {bucket.count:8d}  {bucket.mean_confidence:.4f}  "
            f"{interval_text(bucket.hit_rate)}"
        )


def _canaries(evaluation: Evaluation) -> Iterator[str]:
    yield "  leak canaries:"
    for canary in evaluation.canaries:
        verdict = "quiet" if canary.passed else "FIRED"
        yield f"    {canary.name:16} {canary.value:10.4f}  limit {canary.limit:8.4f}  {verdict}  ({canary.meaning})"
