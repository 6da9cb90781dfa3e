"""The digest chain of the journal: each record carries the digest of the one before it.

A record's digest covers the digest before it and every column of its own, so
that a change anywhere breaks every later link. What is framed here can never
change: an old journal must verify for ever.
"""

import hashlib

GENESIS_DIGEST = hashlib.sha256(b"tollgate journal 1").digest()
"""What the first record follows."""


def record_digest(prev_digest: bytes, *, seq: int, kind: str, subject: str, at_ms: int, body: str) -> bytes:
    """The 32-byte digest of a record.

    The subject's length, in characters, is framed with it: no text can pass for another subject and body.
    `kind` is one of the five kinds, and so holds no "|".
    """
    framed = f"{seq}|{kind}|{at_ms}|{len(subject)}|{subject}{body}"
    return hashlib.sha256(prev_digest + framed.encode()).digest()
