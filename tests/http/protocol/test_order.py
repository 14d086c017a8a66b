"""`$orderby`: every order is reached page by page, whatever comes or goes between two pages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import InvalidRequestError
from shared.http.protocol.order import Order, Row
from tests.growth import seconds

COLUMNS = ("name", "created", "size", "isOpen")
ROWS: list[Row] = [
    {"name": "b", "created": "2026-01-02", "size": 5, "isOpen": True},
    {"name": "A", "created": "2026-01-03", "size": 5, "isOpen": False},
    {"name": "c", "created": "2026-01-01", "size": 11, "isOpen": True},
    {"name": "D", "created": "2026-01-03", "isOpen": False},
]


@pytest.mark.parametrize(
    ("orderby", "names"),
    [
        (None, "AbcD"),
        ("name desc", "DcbA"),
        ("created", "cbAD"),
        ("created desc", "ADbc"),
        ("CREATED DESC , Name Desc", "DAbc"),
        ("size", "DAbc"),
        ("size desc", "cAbD"),
        ("isOpen desc,created", "cbAD"),
        ("isOpen asc,created asc", "ADcb"),
        ("created desc,created,Name desc,created desc,name", "DAbc"),
    ],
)
def test_sorts(orderby: str | None, names: str) -> None:
    page, token = Order(orderby, COLUMNS).page(ROWS, 30, None)
    assert "".join(row["name"] for row in page) == names
    assert token is None


def test_a_column_that_is_named_again_costs_no_sorting() -> None:
    rows: list[Row] = [{"name": f"n{number}", "created": number * 7919 % 2000} for number in range(2000)]
    once = seconds(lambda text: Order(text, COLUMNS).page(rows, 30, None), "created")
    assert seconds(lambda text: Order(text, COLUMNS).page(rows, 30, None), "created" + ",created" * 100) < 5 * once


@pytest.mark.parametrize("orderby", ["", " ", "age", "created down", "created desc asc", "created,", "desc"])
def test_refuses_what_is_no_column(orderby: str) -> None:
    with pytest.raises(InvalidRequestError, match="columns: name, created, size, isOpen"):
        Order(orderby, COLUMNS)


@pytest.mark.parametrize("token", ["", "%", "AAAA", "e30x", "W10", "MQ"])
def test_refuses_a_foreign_token(token: str) -> None:
    with pytest.raises(InvalidRequestError, match="skip token"):
        Order(None, COLUMNS).page(ROWS, 2, token)


_rows = st.lists(
    st.fixed_dictionaries(
        {"name": st.text("abC", min_size=1, max_size=4)},
        optional={"created": st.text("12", max_size=2), "size": st.integers(0, 3), "isOpen": st.booleans()},
    ),
    unique_by=lambda row: str(row["name"]).casefold(),
    max_size=12,
)


@given(
    rows=_rows,
    orderby=st.sampled_from([None, "size", "size desc", "created desc, size", "isOpen, created desc"]),
    top=st.integers(1, 5),
    data=st.data(),
)
def test_pages_hold_every_row_once_while_others_come_and_go(
    rows: list[Row], orderby: str | None, top: int, data: st.DataObject
) -> None:
    order = Order(orderby, COLUMNS)
    whole, _ = order.page(rows, 1000, None)
    guests = [{"name": f"guest{n}", "size": n % 4} for n in range(4)]
    seen: list[Row] = []
    token: str | None = None
    while True:
        present = [*rows, *data.draw(st.lists(st.sampled_from(guests), unique_by=lambda row: row["name"]))]
        page, token = order.page(present, top, token)
        seen += [row for row in page if not row["name"].startswith("guest")]
        if token is None:
            break
    assert seen == whole


def test_a_page_of_large_rows_ends_early_and_all_are_found() -> None:
    order = Order("size desc", ["name", "size"])
    rows = [{"name": f"n{number}", "size": number % 3, "text": "x" * 400} for number in range(20)]
    found: list[str] = []
    token, pages = None, 0
    while token is not None or not pages:
        page, token = order.page(rows, 1000, token, most_bytes=1000)
        assert 1 <= len(page) <= 2
        found += [row["name"] for row in page]
        pages += 1
    assert sorted(found, key=str) == sorted((row["name"] for row in rows), key=str)
    assert len(order.page(rows, 1000, None, most_bytes=1)[0]) == 1, "one row at least"


def test_a_page_has_about_4_mib_however_many_rows_are_asked_for() -> None:
    rows: list[Row] = [{"name": f"n{number}", "text": "x" * 1024**2} for number in range(6)]
    page, token = Order(None, COLUMNS).page(rows, 1000, None)
    assert len(page) == 3
    rest, last = Order(None, COLUMNS).page(rows, 1000, token)
    assert ([*page, *rest], last) == (rows, None)
