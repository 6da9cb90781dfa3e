"""Faults on purpose: rules that say which request or pushed frame goes wrong, and how.

A rule waits until what it is about comes by. Rules are asked in the order of adding, and the first that is due is
taken. A rule is due when path, orderLinkId, API key or topic match, `after` such events have passed it, it was taken
fewer than `times` times, and the seeded Random falls below `probability`.

HTTP kinds (`path`, `link_id`, `key`)
  delay_before          the request reaches the exchange `ms` later
  delay_after           the exchange acts at once, its answer leaves `ms` later
  drop_before_accept    the connection ends, nothing was done
  accept_then_drop      it was done, the connection ends without an answer
  code_before_accept    nothing was done, the answer is retCode `code` (10006 comes without limit headers)
  code_after_accept     it was done, the answer is retCode `code`
  http_before_accept    nothing was done, the answer is HTTP `status`
  http_after_accept     it was done, the answer is HTTP `status` with a page of HTML
  redirect              nothing was done, the answer is a 302 to a path that answers retCode 0
  truncated_json        it was done, the answer breaks off in the middle of the declared length
  slow_body             it was done, the answer comes in pieces with `ms` between them
  restart_after_accept  it was done, the connection ends, and `ms` later trading restarts: closed orders leave
                        order/realtime, private streams are cut
  forget_orders         a listing answers an empty list

Stream kinds (`topic`, `path`, `key`), carried out by frame_gate.py
  ws_gap ws_duplicate ws_reorder ws_missed_fills ws_double_filled ws_stall ws_half_open ws_disconnect ws_refuse_auth
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from random import Random

PRIVATE_STREAM = "/v5/private"
PUBLIC_STREAMS = "/v5/public/"
RULES_MAX = 1_000
"""Rules that wait at one time."""
MS_MAX = 3_600_000
TEXT_MAX = 20_000


class RuleError(ValueError):
    """A rule says nothing, or something that cannot be; the text says what is wrong."""


class Kind(StrEnum):
    """What goes wrong; the module's header says how."""

    DELAY_BEFORE = "delay_before"
    DELAY_AFTER = "delay_after"
    DROP_BEFORE_ACCEPT = "drop_before_accept"
    ACCEPT_THEN_DROP = "accept_then_drop"
    CODE_BEFORE_ACCEPT = "code_before_accept"
    CODE_AFTER_ACCEPT = "code_after_accept"
    HTTP_BEFORE_ACCEPT = "http_before_accept"
    HTTP_AFTER_ACCEPT = "http_after_accept"
    REDIRECT = "redirect"
    TRUNCATED_JSON = "truncated_json"
    SLOW_BODY = "slow_body"
    RESTART_AFTER_ACCEPT = "restart_after_accept"
    FORGET_ORDERS = "forget_orders"
    WS_GAP = "ws_gap"
    WS_DUPLICATE = "ws_duplicate"
    WS_REORDER = "ws_reorder"
    WS_MISSED_FILLS = "ws_missed_fills"
    WS_DOUBLE_FILLED = "ws_double_filled"
    WS_STALL = "ws_stall"
    WS_HALF_OPEN = "ws_half_open"
    WS_DISCONNECT = "ws_disconnect"
    WS_REFUSE_AUTH = "ws_refuse_auth"

    @property
    def of_streams(self) -> bool:
        """Whether it is about pushed frames, not HTTP requests."""
        return self.value.startswith("ws_")


_NEEDS = {
    Kind.DELAY_BEFORE: "ms",
    Kind.DELAY_AFTER: "ms",
    Kind.SLOW_BODY: "ms",
    Kind.CODE_BEFORE_ACCEPT: "code",
    Kind.CODE_AFTER_ACCEPT: "code",
    Kind.HTTP_BEFORE_ACCEPT: "status",
    Kind.HTTP_AFTER_ACCEPT: "status",
}
"""The field without which a kind says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """One fault. RuleError when its kind needs a field that is absent, or a number is out of range."""

    kind: Kind
    path: str = "*"
    """Which HTTP path, or which stream, with shell wildcards; a public stream must be named."""
    link_id: str | None = None
    """Only requests about this orderLinkId; None: all."""
    key: str | None = None
    """Only requests and streams of this API key; None: all. A stream is nobody's before its log-in."""
    topic: str = "*"
    """Which topic of a stream, with shell wildcards."""
    times: int | None = 1
    """How often it is taken; None: without end."""
    after: int = 0
    """How many matching events pass untouched first."""
    probability: float = 1.0
    ms: int | None = None
    code: int | None = None
    status: int | None = None
    text: str | None = None
    """Instead of the usual retMsg of code_* or the usual body of http_*."""

    def __post_init__(self) -> None:
        needed = _NEEDS.get(self.kind)
        if needed is not None and getattr(self, needed) is None:
            raise RuleError(f"{self.kind.value} needs {needed}")
        if not 0.0 <= self.probability <= 1.0:
            raise RuleError(f"probability must be 0 to 1, got {self.probability}")
        _check_range("times", self.times, 1, 1_000_000)
        _check_range("after", self.after, 0, 1_000_000)
        _check_range("ms", self.ms, 0, MS_MAX)
        _check_range("status", self.status, 200, 599)
        for name in ("path", "topic", "link_id", "key", "text"):
            if len(getattr(self, name) or "") > TEXT_MAX:
                raise RuleError(f"{name} must have at most {TEXT_MAX} characters")


@dataclass(slots=True)
class _Waiting:
    rule: FaultRule
    passed: int = 0
    taken: int = 0

    @property
    def spent(self) -> bool:
        return self.rule.times is not None and self.taken >= self.rule.times


class Faults:
    """The rules that wait, and what was injected so far."""

    def __init__(self, seed: int = 1) -> None:
        self._random = Random(seed)
        self._waiting: list[_Waiting] = []
        self.injected: Counter[str] = Counter()
        """How many faults of each kind were injected; clearing the rules leaves it."""
        self._watchers: list[Callable[[], None]] = []

    @property
    def waiting(self) -> tuple[FaultRule, ...]:
        """The rules that may still be taken, in their order."""
        return tuple(waiting.rule for waiting in self._waiting)

    def add(self, *rules: FaultRule) -> None:
        """Append rules; RuleError beyond RULES_MAX, and then none is added."""
        if len(self._waiting) + len(rules) > RULES_MAX:
            raise RuleError(f"at most {RULES_MAX} rules may wait")
        self._waiting.extend(_Waiting(rule) for rule in rules)
        for watcher in self._watchers:
            watcher()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call `watcher` after every addition of rules: some are about what is already there."""
        self._watchers.append(watcher)

    def clear(self) -> None:
        """Forget every rule."""
        self._waiting.clear()

    def reseed(self, seed: int) -> None:
        """Start the draws of `probability` again."""
        self._random = Random(seed)

    def arrival_delay_ms(self, path: str, link_id: str | None, key: str | None = None) -> int:
        """How long this request is held up on its way to the exchange."""
        rule = self._take(lambda rule: rule.kind is Kind.DELAY_BEFORE and _about(rule, path, link_id, key))
        return 0 if rule is None else rule.ms or 0

    def take(self, path: str, link_id: str | None, key: str | None = None) -> FaultRule | None:
        """The fault that this request meets, beside delay_before."""
        if not self._waiting:
            return None
        return self._take(
            lambda rule: (
                rule.kind is not Kind.DELAY_BEFORE and not rule.kind.of_streams and _about(rule, path, link_id, key)
            )
        )

    def take_stream(
        self, topic: str, *kinds: Kind, path: str = PRIVATE_STREAM, key: str | None = None
    ) -> FaultRule | None:
        """The fault of one of these kinds that this topic meets on a stream; frame_gate.py says what counts as what."""
        if not self._waiting:
            return None
        # A public stream's rules must name it: there are too many frames there to be hit by chance.
        any_path = not path.startswith(PUBLIC_STREAMS)
        return self._take(
            lambda rule: (
                rule.kind in kinds
                and fnmatchcase(topic, rule.topic)
                and rule.key in {None, key}
                and (any_path if rule.path == "*" else fnmatchcase(path, rule.path))
            )
        )

    def _take(self, matches: Callable[[FaultRule], bool]) -> FaultRule | None:
        for waiting in self._waiting:
            if not matches(waiting.rule):
                continue
            if waiting.passed < waiting.rule.after:
                waiting.passed += 1
                continue
            if self._random.random() >= waiting.rule.probability:
                continue
            waiting.taken += 1
            if waiting.spent:
                self._waiting.remove(waiting)
            self.injected[waiting.rule.kind.value] += 1
            return waiting.rule
        return None


def rule_from(row: object) -> FaultRule:
    """A rule from its JSON object; RuleError says what is wrong with it.

    Names are those of FaultRule, but `linkId` for link_id; `times` 0 stands for without end.
    """
    if not isinstance(row, Mapping):
        raise RuleError("a rule must be a JSON object")
    unknown = sorted(set(row) - set(_FIELDS) - {"kind"})
    if unknown:
        raise RuleError(f"a rule has no field {unknown[0]!r}; there are kind, {', '.join(_FIELDS)}")
    kind = row.get("kind")
    if not isinstance(kind, str) or kind not in set(Kind):
        raise RuleError(f"kind must be one of {', '.join(Kind)}")
    fields = {name: read(row[key], key) for key, (name, read) in _FIELDS.items() if row.get(key) is not None}
    if fields.get("times") == 0:
        fields["times"] = None
    return FaultRule(kind=Kind(kind), **fields)  # type: ignore[arg-type] # every reader gives its field's type


def rules_from(value: object) -> tuple[FaultRule, ...]:
    """Rules from a JSON array; RuleError names the first wrong one by its place."""
    if not isinstance(value, list):
        raise RuleError("rules must be a list of rules")
    rules = []
    for place, row in enumerate(value):
        try:
            rules.append(rule_from(row))
        except RuleError as error:
            raise RuleError(f"rules[{place}]: {error}") from error
    return tuple(rules)


def _about(rule: FaultRule, path: str, link_id: str | None, key: str | None) -> bool:
    return fnmatchcase(path, rule.path) and rule.link_id in {None, link_id} and rule.key in {None, key}


def _check_range(name: str, value: int | None, least: int, most: int) -> None:
    if value is not None and not least <= value <= most:
        raise RuleError(f"{name} must be {least} to {most}, got {value}")


def _integer(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise RuleError(f"{name} must be an integer")
    return value


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise RuleError(f"{name} must be a number")
    return float(value)


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise RuleError(f"{name} must be a text")
    return value


_FIELDS: Mapping[str, tuple[str, Callable[[object, str], object]]] = {
    "path": ("path", _text),
    "linkId": ("link_id", _text),
    "key": ("key", _text),
    "topic": ("topic", _text),
    "times": ("times", _integer),
    "after": ("after", _integer),
    "probability": ("probability", _number),
    "ms": ("ms", _integer),
    "code": ("code", _integer),
    "status": ("status", _integer),
    "text": ("text", _text),
}
"""JSON name of each field, its name here, and how it is read."""
