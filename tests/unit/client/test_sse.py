"""The event-stream parser, against the standard's own examples and any way of cutting the bytes."""

from __future__ import annotations

import itertools

import pytest
from gblend_client.sse import Comment, EventStreamParser, Message
from hypothesis import given, settings
from hypothesis import strategies as st


def parsed(*chunks: bytes) -> list[Message | Comment]:
    parser = EventStreamParser()
    return [item for chunk in chunks for item in parser.feed(chunk)]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        # The examples of WHATWG HTML, section 9.2.6.
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [Message("YHOO\n+2\n10")]),
        (
            b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            [Comment("test stream"), Message("first event", id="1"), Message("second event"), Message(" third event")],
        ),
        (b"data\n\ndata\ndata\n\ndata:", [Message(""), Message("\n")]),
        (b"data:test\n\ndata: test\n\n", [Message("test"), Message("test")]),
        # Line ends of every kind, also mixed.
        (b"data: a\r\rdata: b\r\n\r\ndata: c\n\n", [Message("a"), Message("b"), Message("c")]),
        (b"data: a\r\n\rdata: b\n\r\n", [Message("a"), Message("b")]),
        # One byte order mark is dropped at the very start, and only there.
        (b"\xef\xbb\xbfdata: a\n\n", [Message("a")]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", []),
        (b"\n\xef\xbb\xbfdata: a\n\n", []),
        # Fields.
        (b"event: done\ndata: {}\n\n", [Message("{}", event="done")]),
        (b"event: done\n\ndata: x\n\n", [Message("x")]),
        (b"id: 7\n\ndata: x\n\n", [Message("x", id="7")]),
        (b"id: 7\ndata: x\n\nid: 8\x00\ndata: y\n\n", [Message("x", id="7"), Message("y", id="7")]),
        (b"Data: x\ndatum: y\n data: z\n\n", []),
        (b"data: a: b\n\n", [Message("a: b")]),
        (b":\n:x\n: y\n", [Comment(""), Comment("x"), Comment("y")]),
        # Bytes that are no UTF-8 become replacement characters; nothing else is lost.
        (b"data: \xff\xc3\n\n", [Message("\ufffd\ufffd")]),
        # What the end of the stream cuts off is not an event.
        (b"data: whole\n\ndata: half\n", [Message("whole")]),
    ],
)
def test_the_standard(stream: bytes, expected: list[Message | Comment]) -> None:
    assert parsed(stream) == expected
    assert parsed(*(stream[i : i + 1] for i in range(len(stream)))) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [(b"retry: 1500", 1500), (b"retry:0", 0), (b"retry: -1", None), (b"retry: 1.5", None), (b"retry", None)],
)
def test_retry(line: bytes, expected: int | None) -> None:
    parser = EventStreamParser()
    parser.feed(line + b"\n")
    assert parser.retry_ms == expected


def test_retry_ignores_other_digits_and_absurd_lengths() -> None:
    parser = EventStreamParser()
    parser.feed("retry: ٣\n".encode() + b"retry: " + b"9" * 5000 + b"\n")
    assert parser.retry_ms is None


def test_an_endless_event_is_refused() -> None:
    parser = EventStreamParser(max_chars=100)
    for _ in range(3):
        parser.feed(b"data: " + b"x" * 60 + b"\n\n")
    parser.feed(b"data: " + b"x" * 60 + b"\n")
    with pytest.raises(ValueError, match="more than 100 characters"):
        parser.feed(b"data: " + b"x" * 60)


_LINES = st.sampled_from(
    ["data: x", "data:", "data", "data: größer ☃", ": ping", "", "", "id: 3", "id", "event: done", "retry: 5", "junk"]
)
_ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@settings(deadline=None)
@given(
    lines=st.lists(st.tuples(_LINES | st.text(alphabet="dat: \ufeff\x00é", max_size=8), _ENDS), max_size=30),
    bom=st.booleans(),
    cuts=st.lists(st.integers(0, 400), max_size=20),
)
def test_the_outcome_never_depends_on_where_the_bytes_are_cut(
    lines: list[tuple[str, str]], bom: bool, cuts: list[int]
) -> None:
    stream = b"\xef\xbb\xbf" * bom + "".join(line + end for line, end in lines).encode()
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[a:b] for a, b in itertools.pairwise(places)]
    assert parsed(*chunks) == parsed(stream)


@settings(deadline=None)
@given(lines=st.lists(_LINES, max_size=20), end=_ENDS)
def test_the_outcome_never_depends_on_the_kind_of_line_end(lines: list[str], end: str) -> None:
    assert parsed(end.join([*lines, ""]).encode()) == parsed("\n".join([*lines, ""]).encode())
