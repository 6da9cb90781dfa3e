"""The gates: what a card must show before its model may be served.

gate                 passes when                                                             why this limit
export_difference    the graph is within 1e-5 of the fitted members                          float32 resolves 1e-7
export_rows          at least 10,000 rows were compared                                      a rare wrong branch shows
export_flips         no row's favoured side differs
canary_<name>        the leak canary did not fire                                            inference/train/canaries.py
too_good             AUC <= 0.58, in a real market and a label up to 1 h ahead               honest hourly bars: 0.55
log_loss             below that of the base rate's constant                                  else it knows nothing
ece                  the upper end of its interval <= 0.05                                   the promise of +-5 points
calibration_slope    the lower end of its interval >= 0.7                                    below, edges are overstated

A slope above 1 is modest and passes. `overrides` of the card let a gate pass with a person's reason, except the three
of the export: a graph that is not what was fitted is never served.
"""

from dataclasses import dataclass

from inference.core.card import Card

EXPORT_DIFFERENCE_MAX = 1e-5
EXPORT_ROWS_MIN = 10_000
AUC_MAX = 0.58
AUC_MAX_SECONDS = 3600
"""The longest label that `AUC_MAX` speaks of."""
ECE_MAX = 0.05
SLOPE_MIN = 0.7

NEVER_OVERRIDDEN = frozenset({"export_difference", "export_rows", "export_flips"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One gate and how a card meets it."""

    name: str
    value: float
    limit: float
    passed: bool
    overridden: str
    """The person's reason; empty when there is none or it may not be overridden."""

    @property
    def holds(self) -> bool:
        """Whether the model may not be served for this gate."""
        return not self.passed and not self.overridden


def gates(card: Card) -> tuple[Gate, ...]:
    """Every gate, in the order of the table above."""
    reasons = {override.gate: override.reason for override in card.overrides if override.gate not in NEVER_OVERRIDDEN}

    def gate(name: str, value: float, limit: float, *, passed: bool) -> Gate:
        return Gate(name=name, value=value, limit=limit, passed=passed, overridden=reasons.get(name, ""))

    export, figures = card.export, card.validation.figures
    checked = card.market == "real" and card.horizon_seconds <= AUC_MAX_SECONDS
    return (
        gate(
            "export_difference",
            export.difference_max,
            EXPORT_DIFFERENCE_MAX,
            passed=export.difference_max <= EXPORT_DIFFERENCE_MAX,
        ),
        gate("export_rows", export.rows, EXPORT_ROWS_MIN, passed=export.rows >= EXPORT_ROWS_MIN),
        gate("export_flips", export.flips, 0, passed=export.flips == 0),
        *(
            gate(f"canary_{canary.name}", canary.value, canary.limit, passed=canary.passed)
            for canary in card.validation.canaries
        ),
        gate("too_good", figures.auc.value, AUC_MAX, passed=not checked or figures.auc.value <= AUC_MAX),
        gate("log_loss", figures.log_loss, figures.log_loss_base, passed=figures.log_loss < figures.log_loss_base),
        gate("ece", figures.ece.high, ECE_MAX, passed=figures.ece.high <= ECE_MAX),
        gate(
            "calibration_slope",
            figures.calibration_slope.low,
            SLOPE_MIN,
            passed=figures.calibration_slope.low >= SLOPE_MIN,
        ),
    )


def faults_of(card: Card) -> tuple[str, ...]:
    """One sentence for each gate that holds the model back; empty when it may be served."""
    return tuple(
        f"gate {gate.name}: {gate.value:.6g} against a limit of {gate.limit:.6g}" for gate in gates(card) if gate.holds
    )
