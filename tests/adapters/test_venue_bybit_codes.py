"""The meaning of every code, against the venue's own table written out here."""

import pytest

from gateway.adapters.venue_bybit.codes import NOT_DONE, CodeKind, kind_of, kind_of_status

ROWS = {
    "server timeout": ("unknown", [10000]),
    "server error": ("unknown", [10016]),
    "trade service restarting": ("unknown", [10019]),
    "internal or backend timeout": (
        "unknown",
        [170001, 170007, 170032, 170146, 170147, 170310, 170149, 170210, 170234, 500000, 429],
    ),
    "rate limits": ("rate", [10006, 10429, 10403, 20003, 170222, 170005]),
    "request id of the stream twice": ("unknown", [20006]),
    "parameter error": ("reject", [10001]),
    "time stamp window": ("clock", [10002]),
    "key, permission, policy": (
        "auth",
        [10003, 10004, 10005, 10007, 10010, 33004, -2015, 10008, 10009, 10024, 10027, 10028, 10029],
    ),
    "duplicate request": ("duplicate", [10014]),
    "no such route": ("reject", [10017, 10404]),
    "retired address limit": ("rate", [10018]),
    "too late": ("benign", [110001, 170213, 170142, 170143, 110008, 110010, 170139, 170190]),
    "duplicate order id": ("duplicate", [110072, 170141]),
    "insufficient funds": (
        "reject",
        [110004, 110006, 110007, 110012, 110014, 110044, 110045, 110051, 110052, 110053, 170131, 170033],
    ),
    "price": (
        "reject",
        [110003, 110120, 110121, 30208, 30209, 170132, 170133, 170134, 170192, 170193, 170194, 170371, 170372],
    ),
    "nothing to reduce": ("reject", [110017]),
    "minimum value": ("reject", [110094, 170140]),
    "size and precision": ("reject", [170124, 170136, 170137, 170148, 170381, 170382, 170341, 170197, 170198]),
    "risk limit and delisting": (
        "reject",
        [110013, 110086, 110090, 110089, 3400139, 110021, 110023, 110042, 30228],
    ),
    "too many open orders": ("reject", [110020, 110009, 170810]),
    "no net position": ("reject", [110034]),
    "market not open": ("reject", [110066, 110074, 110063, 170151, 170157]),
    "order is processing": ("retry_later", [110079]),
    "already so": ("benign", [110025, 110026, 110043, 110027, 34040]),
    "mode cannot be switched": ("reject", [110024, 110028]),
    "agreement, cooling off, region": ("halt_symbol", [110123, 110124, 110125, 170241, 110132]),
    "codes that nobody has written down": ("unknown", [1, -1, 99999, 110999, 3400999]),
}


@pytest.mark.parametrize(("row", "code"), [(row, code) for row, (_, codes) in ROWS.items() for code in codes])
def test_every_code_has_the_meaning_of_its_row(row: str, code: int) -> None:
    assert kind_of(code) == CodeKind(ROWS[row][0])


def test_only_definite_refusals_prove_that_an_order_does_not_exist() -> None:
    assert {"reject", "auth", "clock", "halt_symbol"} == NOT_DONE


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (400, "", CodeKind.REJECT),
        (401, "", CodeKind.AUTH),
        (404, "", CodeKind.REJECT),
        (403, "<html>access too frequent</html>", CodeKind.BANNED),
        (403, "Access Too Frequent.", CodeKind.BANNED),
        (403, "Your country is not served", CodeKind.AUTH),
        (403, "", CodeKind.AUTH),
        (429, "", CodeKind.RATE),
        (500, "", CodeKind.UNKNOWN),
        (502, "<html>Bad Gateway</html>", CodeKind.UNKNOWN),
        (504, "", CodeKind.UNKNOWN),
        (409, "", CodeKind.UNKNOWN),
        (302, "", CodeKind.UNKNOWN),
    ],
)
def test_every_http_status_has_its_meaning(status: int, text: str, kind: CodeKind) -> None:
    assert kind_of_status(status, text) is kind
