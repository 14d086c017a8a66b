"""From a blob's bytes to UTF-8: marks, encodings, what cannot be decoded, gzip and its limits."""

import codecs
import gzip
import random
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from encodings.aliases import aliases

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.csv.decode import TextStream
from shared.domain.csv_dialect import CsvLimits, check_encoding
from shared.domain.errors import DataError, HubError, Recovery, recovery
from tests.csv.csv_cases import in_chunks
from tests.growth import seconds
from tests.ingest.working_clock import WorkingClock

TEXT = "id,name\r\n1,Zoë 山田 😀\n2,\ufeffx\n"


def is_of_files(name: str) -> bool:
    try:
        check_encoding(name)
    except ValueError:
        return False
    return True


def decoded(data: bytes, encoding: str = "utf-8", chunk: int = 3) -> bytes:
    return b"".join(TextStream(in_chunks(data, chunk), encoding))


def unpacked(chunks: Iterable[bytes], limits: CsvLimits | None = None) -> bytes:
    return b"".join(TextStream(chunks, "utf-8", gzipped=True, limits=limits))


def code_of(chunks: Iterable[bytes], limits: CsvLimits | None = None) -> str:
    with pytest.raises(DataError) as refused:
        unpacked(chunks, limits)
    return refused.value.code


@pytest.mark.parametrize("chunk", [1, 3, 1000])
@pytest.mark.parametrize("declared", ["utf-8", "cp1252", "UTF_8", "utf-16"])
@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
        (b"\xff\xfe\0\0", "utf-32-le"),
        (b"\0\0\xfe\xff", "utf-32-be"),
    ],
)
def test_a_byte_order_mark_decides(mark: bytes, encoding: str, declared: str, chunk: int) -> None:
    assert decoded(mark + TEXT.encode(encoding), declared, chunk) == TEXT.encode()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be", "gb18030", "utf-16"])
def test_without_a_mark_the_declared_encoding_holds(encoding: str) -> None:
    source = "utf-16-le" if encoding == "utf-16" else encoding
    assert decoded(TEXT.encode(source), encoding) == TEXT.encode()


def test_short_files_are_whole() -> None:
    assert [decoded(data) for data in (b"", b"a", b"\xef\xbb\xbf", b"\xef\xbb", b"\xff\xfe")] == [
        b"",
        b"a",
        b"",
        b"\xef\xbb",
        b"",
    ]


@pytest.mark.parametrize(
    "name",
    ["klingon", "hex", "rot13", "unicode_escape", "unicodeescape", "idna", "punycode", "undefined", "utf-7", "", "a\0"],
)
def test_an_encoding_that_no_file_has_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="is not known") as refused:
        TextStream([b"x"], name)
    assert refused.value.code == "BadEncoding"


def test_a_file_that_its_encoding_cannot_follow_is_refused() -> None:
    with pytest.raises(DataError) as refused:
        decoded(b'+\n~~\n"\n"+\r+@\x1b$$\r+\r"\xd6\r"A~A', "iso2022_jp")
    assert refused.value.code == "BadEncoding"


@pytest.mark.parametrize(
    ("data", "encoding", "text"),
    [
        (b"a\x81b\n", "cp1252", "a\\x81b\n"),
        (b"a\xff,b\n", "ascii", "a\\xff,b\n"),
        # A lead byte takes no quote and no line end with it.
        (b'"a\x81",\x81\nb\n', "shift_jis", '"a\\x81",\\x81\nb\n'),
        (b"a\x00\xd8\nb", "utf-8", "a\\x00\\xd8\nb"),
        ("a".encode("utf-16-le") + b"\x00\xdc\n\x00b", "utf-16-le", "a\\x00\\xdc\n\\x62"),
    ],
)
@pytest.mark.parametrize("chunk", [1, 100])
def test_what_cannot_be_decoded_stays_visible_and_is_no_text(data: bytes, encoding: str, text: str, chunk: int) -> None:
    stream = TextStream(in_chunks(data, chunk), encoding)
    decoded_text = b"".join(stream)
    with pytest.raises(UnicodeDecodeError):
        decoded_text.decode()
    assert stream.show(decoded_text, 1000) == text


def test_two_undecodable_bytes_never_make_a_character() -> None:
    stream = TextStream([b"\xc3\xa9"], "ascii")
    text = b"".join(stream)
    assert text != "é".encode()
    assert stream.show(text, 100) == "\\xc3\\xa9"


@given(st.binary(max_size=60), st.sampled_from(["utf-8", "cp1252", "shift_jis", "gb18030", "utf-16-le", "cp037"]))
def test_chunks_make_no_difference(data: bytes, encoding: str) -> None:
    whole = decoded(data, encoding, 1000)
    assert decoded(data, encoding, 1) == whole
    if encoding == "utf-8":
        assert (
            whole == data.removeprefix(b"\xef\xbb\xbf") or data[:2] in {b"\xff\xfe", b"\xfe\xff"} or data[:1] == b"\0"
        )


@given(st.text(max_size=40), st.integers(3, 60))
def test_shown_text_is_cut_between_characters(text: str, limit: int) -> None:
    shown = TextStream([], "utf-8").show(text.encode("utf-8", "replace"), limit)
    visible = text.encode("utf-8", "replace").decode().replace("\0", "\\x00")
    assert visible.startswith(shown)
    assert len(shown.encode()) <= limit
    if len(visible.encode()) <= limit:
        assert shown == visible
    elif "\0" not in text:
        assert len(shown.encode()) > limit - 4


def test_gzip_members_follow_one_another() -> None:
    packed = gzip.compress(b"a\n") + gzip.compress(b"") + gzip.compress(b"b\n" * 50_000) + b"\0" * 600
    for chunk in (1, 7, 1 << 20):
        assert unpacked(in_chunks(packed, chunk)) == b"a\n" + b"b\n" * 50_000


def test_gzip_is_unpacked_in_pieces() -> None:
    data = bytes(range(256)) * 40_000
    pieces = list(TextStream([gzip.compress(data)], "latin-1", gzipped=True))
    assert b"".join(pieces).decode() == data.decode("latin-1")
    assert max(map(len, pieces)) <= 2 << 20


def test_a_gzip_bomb_is_refused_before_it_is_unpacked() -> None:
    taken = 0

    def bomb() -> Iterable[bytes]:
        nonlocal taken
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        while True:
            taken += 1
            yield packer.compress(b"\n" * (1 << 20)) + packer.flush(zlib.Z_SYNC_FLUSH)

    assert code_of(bomb()) == "TooLarge"
    assert taken < 5


@pytest.mark.parametrize("size", [2_000, 300_000, 5_000_000])
def test_the_ratio_holds_for_small_and_large_files(size: int) -> None:
    packed = gzip.compress(b"0" * size)
    ratio = size // len(packed)
    assert code_of(in_chunks(packed, 50), CsvLimits(max_gzip_ratio=ratio // 2)) == "TooLarge"
    assert len(unpacked([packed], CsvLimits(max_gzip_ratio=3 * ratio))) == size


def test_sizes_over_the_limit_are_refused() -> None:
    limits = CsvLimits(max_blob_bytes=10)
    assert b"".join(TextStream([b"12345", b"67890"], "utf-8", limits=limits)) == b"1234567890"
    with pytest.raises(DataError) as refused:
        list(TextStream([b"12345", b"678901"], "utf-8", limits=limits))
    assert refused.value.code == "TooLarge"
    assert code_of([gzip.compress(b"12345678901")], limits) == "TooLarge"


@pytest.mark.parametrize("gzipped", [True, False])
def test_reading_ends_when_its_time_is_up(gzipped: bool) -> None:
    data = b"id\n" + b"1\n" * 1_000_000
    chunks = [gzip.compress(data)] if gzipped else in_chunks(data, 1000)
    with pytest.raises(DataError) as refused:
        list(TextStream(chunks, "utf-8", gzipped=gzipped, limits=CsvLimits(max_seconds=0, max_gzip_ratio=2000)))
    assert refused.value.code == "TooSlow"
    assert "MAX_READ_MINUTES" in refused.value.message
    assert "fewer rows" not in refused.value.message, "nobody asked for rows"


MEMBER = gzip.compress(b"a,b\n1,2\n")
# Nothing comes out of these, however long they are.
NOTHINGS = {
    "NULs behind a member": lambda size: MEMBER + b"\0" * size,
    "empty members": lambda size: MEMBER + gzip.compress(b"") * (size // 20),
    "empty blocks": lambda size: MEMBER[:10] + b"\0\0\0\xff\xff" * (size // 5),
    "a name without end": lambda size: MEMBER[:3] + b"\x08" + MEMBER[4:10] + b"x" * size,
    "a comment without end": lambda size: MEMBER + MEMBER[:3] + b"\x10" + MEMBER[4:10] + b"x" * size,
}


@pytest.mark.parametrize("nothing", NOTHINGS.values(), ids=NOTHINGS)
def test_what_unpacks_to_nothing_is_limited_in_size(nothing: Callable[[int], bytes]) -> None:
    taken = 0

    def source() -> Iterator[bytes]:
        nonlocal taken
        for part in in_chunks(nothing(8 << 20), 1 << 16):
            taken += len(part)
            yield part

    assert code_of(source(), CsvLimits(max_blob_bytes=1 << 20)) == "TooLarge"
    assert taken <= (1 << 20) + (1 << 16)


@pytest.mark.parametrize("nothing", NOTHINGS.values(), ids=NOTHINGS)
def test_what_unpacks_to_nothing_is_limited_in_time(
    nothing: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    class EachLookTakesASecond(WorkingClock):
        def monotonic(self) -> float:
            self.work(1)
            return self.now

    clock = EachLookTakesASecond(monkeypatch)
    # One piece of the source, so that none of the time is spent in waiting for another.
    assert code_of([nothing(8 << 20)], CsvLimits(max_seconds=60)) == "TooSlow"
    assert clock.now < 80


@pytest.mark.parametrize("gzipped", [True, False])
def test_a_packed_file_is_no_larger_than_an_unpacked_one_may_be(gzipped: bool) -> None:
    data = random.Random(1).randbytes(3000)
    packed = gzip.compress(data) if gzipped else data
    assert len(packed) >= len(data)
    limits = CsvLimits(max_blob_bytes=len(packed))
    assert b"".join(TextStream([packed], "latin-1", gzipped=gzipped, limits=limits)).decode().encode("latin-1") == data
    with pytest.raises(DataError, match="larger than the") as refused:
        list(TextStream([packed], "latin-1", gzipped=gzipped, limits=CsvLimits(max_blob_bytes=len(packed) - 1)))
    assert refused.value.code == "TooLarge"


@pytest.mark.parametrize("gzipped", [True, False])
@pytest.mark.parametrize(
    ("of_source", "of_file", "code"),
    [(0, 0, None), (1, 1, None), (50, 1, "SourceTooSlow"), (1, 50, "TooSlow"), (80, 30, "SourceTooSlow")],
)
def test_the_time_of_a_source_is_not_held_against_the_file(
    gzipped: bool, of_source: float, of_file: float, code: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = WorkingClock(monkeypatch)
    chunks = [b"a,b\n", b"1,2\n", b"3,4\n", b"5,6\n"]
    packed = [gzip.compress(chunk) for chunk in chunks] if gzipped else chunks
    text = TextStream(
        clock.slow(packed, of_source),
        "utf-8",
        gzipped=gzipped,
        limits=CsvLimits(max_seconds=120, max_gzip_ratio=2000),
    )

    def read() -> None:
        for _ in text:
            clock.work(of_file)

    if code is None:
        read()
        return
    with pytest.raises(HubError) as ended:
        read()
    assert ended.value.code == code
    assert (recovery(ended.value) is Recovery.RETRY) == (code == "SourceTooSlow")


def test_what_is_too_slow_says_after_how_long() -> None:
    with pytest.raises(DataError, match="within 1e-09 seconds") as refused:
        list(TextStream([b"id\n"], "utf-8", limits=CsvLimits(max_seconds=1e-9)))
    assert refused.value.code == "TooSlow"


PACKED = gzip.compress(b"abc" * 100, mtime=0)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"id,name\n", "NotGzip"),
        (b"x", "NotGzip"),
        (b"\x1f", "NotGzip"),
        (b"\x1f\x8b", "BadGzip"),
        (PACKED[:-1], "BadGzip"),
        (PACKED[:-8] + b"\0" * 8, "BadGzip"),
        (PACKED + b"tail", "BadGzip"),
        (PACKED + b"\x1f", "BadGzip"),
    ],
)
@pytest.mark.parametrize("chunk", [1, 1000])
def test_gzip_that_is_none_or_damaged_is_refused(data: bytes, code: str, chunk: int) -> None:
    assert code_of(in_chunks(data, chunk)) == code


def test_an_empty_blob_is_empty_whatever_it_is_called() -> None:
    assert unpacked([]) == b""
    assert unpacked([b""]) == b""


# Signs that shift, lead or escape in one encoding or another.
_SIGNS = (
    b"+",
    b"+/",
    b"+2AA",
    b"\x81",
    b"\xff",
    b"\x1b",
    b"\x1b$B",
    b"\x1b$)C\x0e",
    b"~{",
    b"\xe2\x82",
    b"\0\xd8",
    b"a",
)
_ENCODINGS = sorted({codecs.lookup(name).name for name in aliases.values() if is_of_files(name)})


def test_there_are_many_encodings() -> None:
    assert len(_ENCODINGS) > 80
    assert {"utf-8", "cp1252", "iso2022_jp", "hz", "utf-16"} <= set(_ENCODINGS)


@pytest.mark.parametrize("encoding", _ENCODINGS)
def test_what_an_encoding_costs_does_not_grow_with_the_square(encoding: str) -> None:
    def read(data: bytes) -> None:
        with suppress(DataError):
            decoded(data, encoding, 1 << 10)

    for signs in _SIGNS:
        assert seconds(read, signs * (20_000 // len(signs)), rounds=1) < 0.15, signs
