from __future__ import annotations

import gzip
import io
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.model.errors import DAT_UNREADABLE, InvalidInput
from venues.history.files.cells import BadCell
from venues.history.files.read import read_sheet
from venues.history.files.stamps import parse_stamps

TABLE = "# Source: x\n# Records: 2\ntime,price\n2024-06-01T00:00:00Z,1.5\n2024-06-01T01:00:00Z,2.5\n"


def parquet(**columns: object) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content", [TABLE.encode(), gzip.compress(TABLE.encode(), mtime=0), b"\xef\xbb\xbf" + TABLE[24:].encode()]
)
def test_comments_gzip_and_a_byte_order_mark_do_not_matter(content: bytes) -> None:
    sheet = read_sheet("a.csv", content)

    assert sheet.rows == 2
    assert list(sheet.columns["price"]) == ["1.5", "2.5"]
    assert "time" in sheet.columns


def test_a_number_sign_inside_a_cell_is_no_comment() -> None:
    sheet = read_sheet("a.csv", b'event,x\n"Top-Up #1",2\n#3,4\n')

    assert list(sheet.columns["event"]) == ["Top-Up #1", "#3"]


def test_a_header_without_rows_is_a_table_of_no_rows() -> None:
    sheet = read_sheet("a.csv", b"# Records: 0\ntimestamp,price\n")

    assert sheet.rows == 0
    assert set(sheet.columns) == {"timestamp", "price"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "header"),
        (b"# only comments\n", "header"),
        (b"a,b\n1,2\n3\n", "row 2"),
        (b"\x1f\x8bbroken", "broken.csv"),
        (b"a\n\xff\xfe", "UTF-8"),
    ],
)
def test_what_is_no_table_is_refused_by_name(content: bytes, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as refused:
        read_sheet("broken.csv", content)

    assert refused.value.code == DAT_UNREADABLE


def test_parquet_holds_the_same_columns() -> None:
    times = [datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 6, 1, 1, tzinfo=UTC)]
    sheet = read_sheet("a.parquet", parquet(time=times, price=[1.5, 2.5], symbol=["X", None], count=[1, 2]))

    assert sheet.rows == 2
    assert list(sheet.columns["price"]) == [1.5, 2.5]
    assert list(sheet.columns["symbol"]) == ["X", ""]
    assert parse_stamps(sheet.columns["time"]).tolist() == parse_stamps(["2024-06-01T00Z", "2024-06-01T01Z"]).tolist()


def test_parquet_times_without_a_zone_are_refused_like_text() -> None:
    sheet = read_sheet("a.parquet", parquet(time=[datetime(2024, 6, 1)]))

    with pytest.raises(BadCell, match="zone"):
        parse_stamps(sheet.columns["time"])
