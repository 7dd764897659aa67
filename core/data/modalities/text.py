"""Texts to word codes `[tokens]`, by a vocabulary that the training part alone has made.

A text is normalised (NFKC, and case-folded unless the spec says otherwise) and cut into words, numbers and single other
marks, so that `can't :)` is `can't`, `:`, `)`. Code 0 is padding, 1 a word that the vocabulary lacks. Several columns
are joined by line breaks. Texts longer than `max_tokens` lose their ends.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from core.data.modalities.base import Floats, Raw, Reading, State, contiguous
from core.data.problems import RowProblem, SampleError
from core.data.table import Column, Rows
from core.spec.data import TextPreprocess

PADDING, UNKNOWN, FIRST_WORD = 0, 1, 2
MAX_CHARACTERS = 1_000_000
"""Of one text; more is a book, and no cell of a table."""
_TOKEN = re.compile(r"\w+(?:['\u2019]\w+)*|[^\w\s]")


def read_texts(columns: Sequence[Column]) -> Reading:
    """An object array with one text per row: the cells of all columns that are not missing, joined by line breaks."""
    rows = len(columns[0].values)
    cells = [column.text() for column in columns]
    raw = np.empty(rows, dtype=object)
    problems: list[RowProblem] = []
    for row in range(rows):
        text = joined(texts[row] for texts in cells)
        try:
            raw[row] = checked(text)
        except SampleError as error:
            problems.append(RowProblem.of(row, error))
    return Reading(raw, problems)


def fit_texts(raw: Raw, train: Rows, preprocess: TextPreprocess) -> State:
    """The vocabulary (the most frequent words of the training part) and the longest training text's length."""
    counts: Counter[str] = Counter()
    longest = 1
    for row in train.tolist():
        words = tokens_of(raw[row], preprocess.lowercase)
        longest = max(longest, len(words))
        counts.update(words)
    frequent = [(word, count) for word, count in counts.items() if count >= preprocess.min_count]
    frequent.sort(key=lambda pair: (-pair[1], pair[0]))
    return {
        "type": "text",
        "lowercase": preprocess.lowercase,
        "tokens": min(longest, preprocess.max_tokens),
        "vocabulary": [word for word, _ in frequent[: preprocess.vocabulary]],
    }


def encode_texts(raw: Raw, state: State) -> Floats:
    """Word codes as floats `[n, tokens]`; shorter texts end in padding."""
    codes = {word: code for code, word in enumerate(state["vocabulary"], start=FIRST_WORD)}
    out = np.full((len(raw), state["tokens"]), PADDING, dtype=np.float32)
    for row, text in enumerate(raw):
        found = [codes.get(word, UNKNOWN) for word in tokens_of(text, state["lowercase"])[: state["tokens"]]]
        out[row, : len(found)] = found
    return contiguous(out)


def vocabulary_size(state: State) -> int:
    """How many codes there are, padding and the unknown word among them."""
    return FIRST_WORD + len(state["vocabulary"])


def tokens_of(text: str, lowercase: bool) -> list[str]:
    """Words and marks, in order."""
    normal = unicodedata.normalize("NFKC", text)
    return _TOKEN.findall(normal.casefold() if lowercase else normal)


def text_of(value: Any) -> Raw:
    """One new sample's text, or its cells in the order of the columns, as a raw row. Raises SampleError."""
    cells = [value] if isinstance(value, str) else value
    if not isinstance(cells, Sequence) or not all(isinstance(cell, str) for cell in cells):
        raise SampleError("value.dtype", "it is neither a text nor a list of texts")
    raw = np.empty(1, dtype=object)
    raw[0] = checked(joined(cells))
    return raw


def joined(cells: Iterable[str]) -> str:
    """The cells of one row as one text: those that are not blank, by line breaks."""
    return "\n".join(cell for cell in cells if cell.strip())


def digest_of(text: str) -> bytes:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def checked(text: str) -> str:
    if not text.strip():
        raise SampleError("value.missing", "there is no text")
    if len(text) > MAX_CHARACTERS:
        raise SampleError("value.too_long", f"{len(text)} characters; at most {MAX_CHARACTERS} are read")
    return text
