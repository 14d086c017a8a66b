"""Whatever a clean file holds, the proposal made from it takes in every row."""

import csv
import io
import uuid
from datetime import datetime
from typing import Literal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.http.routes.landing import Landing, noted
from tests.thorough import long_examples


def _text(alphabet: str = "") -> st.SearchStrategy[str]:
    return st.text(alphabet or st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


CELLS: dict[str, st.SearchStrategy[str]] = {
    "text": _text(),
    "narrow": _text("01aé-,;|\t\"' \n\r"),
    "digits": _text("019"),
    "signed": st.integers(-(2**65), 2**65).map(lambda n: f"{n:+d}" if n % 5 == 0 else str(n)),
    "small": st.integers(-9, 9).map(str),
    "point": st.decimals(-9999, 9999, places=2).map(str),
    "comma": st.decimals(-9999, 9999, places=2).map(lambda n: str(n).replace(".", ",")),
    "grouped": st.integers(0, 10**7).map(lambda n: f"{n:,}"),
    "double": st.floats(allow_nan=False, allow_infinity=False).map(str),
    "flag": st.sampled_from(["true", "False", "TRUE"]),
    "bit": st.sampled_from(["0", "1"]),
    "guid": st.uuids().map(str),
    "date": st.dates().map(str),
    "day": st.dates().map(lambda day: f"{day.day:02}.{day.month:02}.{day.year:04}"),
    "compact": st.dates().map(lambda day: f"{day.year:04}{day.month:02}{day.day:02}"),
    "time": st.datetimes().map(datetime.isoformat),
    "clock": st.datetimes().map(lambda time: f"{time.month}/{time.day}/{time.year:04} {time.hour}:{time.minute:02}"),
}


HEADERS = ["id", "customer_id", "email", "name", "Datum", "at", "Größe", "kind", "2x", "x", "_", "客"]


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, str]:
    """A delimiter, and a clean file written with it."""
    header = draw(st.lists(st.sampled_from(HEADERS), min_size=2, max_size=5, unique=True))
    kinds = draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=len(header), max_size=len(header)))
    cells = [CELLS[kind] if draw(st.booleans()) else CELLS[kind] | st.just("") for kind in kinds]
    rows = draw(st.lists(st.tuples(*cells), max_size=12))
    out = io.StringIO()
    delimiter = draw(st.sampled_from(",;\t|"))
    quoting: Literal[0, 1] = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    line_end = draw(st.sampled_from(["\n", "\r\n"]))
    csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=line_end).writerows([header, *rows])
    return delimiter, out.getvalue()


@given(
    tables(),
    st.sampled_from([None, "Profile", "Interaction"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
@settings(
    max_examples=long_examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_whatever_a_clean_file_holds_the_proposal_takes_in_every_row(
    landing: Landing, table: tuple[str, str], kind: str | None, encoding: str
) -> None:
    delimiter, text = table
    rows = len(list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))) - 1
    path = f"{uuid.uuid4().hex}/table.csv"
    found = landing.suggest(path, text.encode(encoding), **({"entityType": kind} if kind else {}))
    assert (found["rowsRead"], found["rejects"]) == (rows, [])
    key = found["type"]["body"].get("strongIds", [{}])[0].get("keyPropertyNames", [])
    empty = [column["empty"] for column in found["columns"] if column["fieldName"] in key]
    if any(empty):  # a profile was asked for, and no column can be its key
        assert kind == "Profile"
        noted(found, "rows without one are refused")
        return
    run = landing.take(found)
    assert (run.state.value, run.rows_ingested, run.rows_rejected, run.error) == ("Succeeded", rows, 0, None)
    if kind != "Profile":
        assert len(landing.data(found)) == rows
