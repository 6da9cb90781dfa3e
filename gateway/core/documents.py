"""Documents: what the journal keeps beside orders and decisions, each kind with a text of its own maker."""

from dataclasses import dataclass
from enum import StrEnum


class DocumentKind(StrEnum):
    """What a document tells."""

    POLICY = "policy"
    """The limits that orders are judged by from now on; its subject is the policy's id."""
    PROMOTION = "promotion"
    """A move between the stages of promotion, or a start without one; its subject is the stage after it."""
    TWIN = "twin"
    """What a live order would have become on paper at the same moment; its subject is the order's key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document; the newest of its kind and subject counts, and none is ever changed."""

    kind: DocumentKind
    subject: str
    text: str
    """Canonical JSON (see json_fields.py), of which the kind's own module knows the form."""
    at_ms: int
    """When it was written, milliseconds since 1970 UTC."""
