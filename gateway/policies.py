"""The limits that orders are judged by, kept in the journal from the moment at which they rule."""

from gateway.core.documents import Document, DocumentKind
from gateway.ports import Journal, JournalUnavailableError, StartError


async def keep_policy(journal: Journal, policy: Document) -> None:
    """Keep the limits, unless they are those that were kept last. Raises StartError: nothing could be replayed."""
    try:
        newest = journal.documents(DocumentKind.POLICY, 1)
        if not newest or newest[0].subject != policy.subject:
            await journal.append_document(policy)
    except JournalUnavailableError as fault:
        raise StartError(f"the journal cannot keep the limits that orders are judged by: {fault}") from fault
