"""What every Journal promises of documents, the fake that other tests use included."""

from builders import NOW_MS

from gateway.core.documents import Document, DocumentKind


def a_document(kind, subject, text='{"v":1}', at_ms=NOW_MS):
    return Document(kind=kind, subject=subject, text=text, at_ms=at_ms)


async def test_a_new_journal_holds_no_document(journal):
    assert [list(journal.documents(kind, 10)) for kind in DocumentKind] == [[], [], []]
    assert journal.find_document(DocumentKind.POLICY, "p1") is None


async def test_documents_of_a_kind_are_listed_newest_first(journal):
    first, other, second = (
        a_document(DocumentKind.POLICY, "p1"),
        a_document(DocumentKind.TWIN, "key-1"),
        a_document(DocumentKind.POLICY, "p2", at_ms=NOW_MS + 1),
    )
    for document in (first, other, second):
        await journal.append_document(document)
    assert list(journal.documents(DocumentKind.POLICY, 10)) == [second, first]
    assert list(journal.documents(DocumentKind.POLICY, 1)) == [second]
    assert list(journal.documents(DocumentKind.TWIN, 10)) == [other]


async def test_the_newest_of_a_subject_is_found(journal):
    for text in ('{"v":1}', '{"v":2}'):
        await journal.append_document(a_document(DocumentKind.PROMOTION, "PAPER_TINY", text))
    await journal.append_document(a_document(DocumentKind.PROMOTION, "PAPER", '{"v":3}'))
    assert journal.find_document(DocumentKind.PROMOTION, "PAPER_TINY").text == '{"v":2}'
    assert journal.find_document(DocumentKind.TWIN, "PAPER_TINY") is None
