"""Printed bytes become text that every reader, terminal and database can bear."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.jobs.logs import CHUNK_BYTES
from worker.log_shipping import chunks, harmless


def test_what_a_terminal_would_obey_is_replaced() -> None:
    raw = b"\x1b[31mred\x1b[0m\ttab\x00nul\x07bell\x9b!\xe2\x80\xae\xff\n"
    assert harmless(raw) == "\ufffd[31mred\ufffd[0m\ttab\ufffdnul\ufffdbell\ufffd!\ufffd\ufffd\n"


def test_every_end_of_a_line_is_a_line_feed() -> None:
    assert harmless(b"a\r\nb\rc\nd") == "a\nb\nc\nd"
    assert harmless(b"a", end_line=True) == "a\n"
    assert harmless(b"a\n", end_line=True) == "a\n"


def test_passwords_do_not_leave() -> None:
    raw = b"postgresql://gblend:hun%40ter2@db/x redis://:s3cret@h:1 ?password=abc&x=1 token=xyz, done\n"
    said = harmless(raw)
    assert said == "postgresql://gblend:***@db/x redis://:***@h:1 ?password=***&x=1 token=***, done\n"


def test_chunks_end_with_lines() -> None:
    line = "x" * 999 + "\n"
    found = chunks(line * 100)
    assert [len(chunk) for chunk in found] == [65_000, 35_000]
    assert all(chunk.endswith("\n") for chunk in found)


def test_a_line_longer_than_a_chunk_is_split_between_characters() -> None:
    text = "aa" + "\N{SNOWMAN}" * 30_000 + "\n"
    found = chunks(text)
    assert "".join(found) == text
    assert [len(chunk.encode()) for chunk in found] == [65_534, 24_469]


@given(st.binary(max_size=400), st.integers(0, 3))
def test_any_bytes_can_be_shipped(raw: bytes, longer: int) -> None:
    text = harmless(raw * (1 + longer * 200), end_line=True)
    found = chunks(text)
    assert "".join(found) == text
    assert all(0 < len(chunk.encode()) <= CHUNK_BYTES for chunk in found)
    assert text.endswith("\n")
    assert not {character for character in text if ord(character) < 32} - {"\t", "\n"}
