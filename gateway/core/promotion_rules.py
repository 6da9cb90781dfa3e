"""The rules of moving between stages, and the values that a promotion is told by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.core.criterion import Criterion
from gateway.core.facts import Permission
from gateway.core.model import Failure
from gateway.core.promotion import STAGES, Stage
from gateway.core.promotion_records import PromotionRecord
from gateway.core.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveGate:
    """What a live start asks for."""

    env: str
    """BYBIT_ENV."""
    record_text: str
    """The exported record that PROMOTION_RECORD names; empty when it names none."""
    override: str
    """LIVE_WITHOUT_PROMOTION; empty when nobody said it."""

    @property
    def is_sandbox(self) -> bool:
        """Whether nothing real is traded: a simulated exchange asks for no promotion, and takes a paper stage's."""
        return self.env == "simulator"


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionStanding:
    """Where the account stands."""

    stage: Stage
    permission: Permission
    record: PromotionRecord | None
    """What the stage stands on; None at the first stage and without a promotion."""
    override: str
    """Why live trades without a promotion, in a person's words; empty when it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The evidence toward the next stage."""

    stage: Stage
    next_stage: Stage | None
    criteria: Sequence[Criterion]
    """Empty at the highest stage."""


def unfit_for_live(record: PromotionRecord, *, is_sandbox: bool) -> str:
    """Why a record is none for live trading; empty when it is one. A simulated exchange takes a paper stage's."""
    if is_sandbox:
        return ""
    if not record.to_stage.is_live:
        return f"the account stands at {record.to_stage.value}, which is no live stage"
    return "" if record.real_market else "its evidence is of a simulated market, which never counts for live"


def other_model(record: PromotionRecord, served: str, digests: Mapping[str, str]) -> str:
    """Why a record is for another model than the served one; empty when it is not, or none is known to be served.

    `digests` has the SHA-256 of the graphs of versions, empty where nobody tells.
    """
    if not served:
        return ""
    if record.model_version != served:
        return f"the promotion is for the model {record.model_version or 'unknown'}, and {served} is served"
    digest = digests.get(served, "")
    if digest and record.model_sha256 and digest != record.model_sha256:
        return f"the graph of the model {served} is not the one that the promotion is for"
    return ""


def other_limits(record: PromotionRecord, limits: Mapping[str, str]) -> str:
    """The first limit that is another than the record's; empty when none is."""
    for name, value in limits.items():
        if record.limits.get(name) != value:
            return f"the promotion is for {name} {record.limits.get(name, 'unset')}, and {value} is set"
    return ""


def of_stage(stage: Stage, refusal: str) -> Permission:
    """What an order may do at a stage."""
    return Permission(stage=stage.value, refusal=refusal, cap_usd=STAGES[stage].cap_usd)


def refused(what: str, to_stage: Stage, metadata: Mapping[str, str]) -> Failure:
    """A move that was not made; `what` says so, without a full stop."""
    return Failure(
        reason=Reason.PROMOTION_REFUSED,
        message=f"{what}.",
        metadata={"to": to_stage.value, **metadata},
        field_name="to",
    )


def not_next(to_stage: Stage, stage: Stage, above: Stage | None) -> Failure:
    """Stages are entered one after the other."""
    what = f"The account was not promoted: it stands at {stage.value}"
    told = f"{what}, and the next stage is {above.value}" if above else f"{what}, the highest stage"
    return refused(told, to_stage, {"stage": stage.value})


def lacking(criterion: Criterion, to_stage: Stage) -> Failure:
    """A promotion that this criterion stands in the way of."""
    return refused(
        f"The account was not promoted to {to_stage.value}: {criterion.name} ({criterion.finding.value}):"
        f" {criterion.sentence.removesuffix('.')}",
        to_stage,
        {
            "criterion": criterion.name,
            "finding": criterion.finding.value,
            "value": "" if criterion.value is None else f"{criterion.value:g}",
            "limit": f"{criterion.limit:g}",
            "needed_more": str(criterion.needed_more),
        },
    )
