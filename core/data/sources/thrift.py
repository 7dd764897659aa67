"""Thrift's compact protocol, as far as Parquet's footer and page headers need it. Memory-safe, bounded, and strict.

Arrow's own reader trusts what it reads; this one looks at the same bytes first. A shape says which fields of a struct
are kept; all others are skipped without building anything. Whatever two readers could understand differently (a field
twice, another type than the shape's, a number beyond its width) raises ValueError.
Source: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT, _UUID = range(1, 14)
_DEEPEST = 32
_BITS = {_I16: 16, _I32: 32, _I64: 64}
_KINDS = {"i32": _I32, "i64": _I64, "binary": _BINARY}

Leaf = Literal["i32", "i64", "binary", "bool"]
Shape = Mapping[int, "tuple[str, Leaf | Shape | list[Leaf | Shape]]"]
"""Field number -> the name it gets and what it is: a leaf, a struct, or (in a list) a list of either."""


class EndsEarlyError(ValueError):
    """The struct goes on behind the end of the data: with more of it, it might be read."""


class Compact:
    """Reads structs from `data`, from `at` on. At most `elements` list elements and fields are read in all."""

    def __init__(self, data: bytes, at: int = 0, *, elements: int) -> None:
        self._data = data
        self.at = at
        self._left = elements

    def struct(self, shape: Shape, depth: int = 0) -> dict[str, Any]:
        """One struct: name -> value, for the fields of the shape that are there. Raises ValueError."""
        found: dict[str, Any] = {}
        number = 0
        while (head := self._byte()) != 0:
            self._count(1)
            delta, kind = head >> 4, head & 15
            number = number + delta if delta else self._number(16)
            wanted = shape.get(number)
            if wanted is None:
                self._skip(kind, depth + 1)
                continue
            name, inner = wanted
            if name in found:
                raise ValueError(f"the field {name} is there twice")
            found[name] = (
                kind == _TRUE if kind in (_TRUE, _FALSE) and inner == "bool" else self._value(kind, inner, depth)
            )
        return found

    def _value(self, kind: int, inner: Leaf | Shape | list[Leaf | Shape], depth: int) -> Any:
        if isinstance(inner, list):
            if kind != _LIST:
                raise ValueError(f"a field of type {kind} in place of a list")
            size, element = self._list_head()
            return [self._value(element, inner[0], depth + 1) for _ in range(size)]
        if isinstance(inner, str):
            if _KINDS.get(inner) != kind:
                raise ValueError(f"a field of type {kind} in place of {inner}")
            return self._bytes() if kind == _BINARY else self._number(_BITS[kind])
        if kind != _STRUCT:
            raise ValueError(f"a field of type {kind} in place of a struct")
        return self.struct(inner, self._deeper(depth))

    def _skip(self, kind: int, depth: int) -> None:
        if kind in (_TRUE, _FALSE):
            return
        if kind in _BITS:
            self._number(64)
        elif kind == _BINARY:
            self._bytes()
        elif kind in (_BYTE, _DOUBLE, _UUID):
            self._pass({_BYTE: 1, _DOUBLE: 8, _UUID: 16}[kind])
        elif kind == _STRUCT:
            self.struct({}, self._deeper(depth))
        elif kind in (_LIST, _SET):
            size, element = self._list_head()
            self._skip_all(size, element, self._deeper(depth))
        elif kind == _MAP:
            size = self._size()
            kinds = self._byte() if size else 0
            for _ in range(size):
                self._skip_all(1, kinds >> 4, self._deeper(depth))
                self._skip_all(1, kinds & 15, self._deeper(depth))
        else:
            raise ValueError(f"a field of the unknown type {kind}")

    def _skip_all(self, size: int, kind: int, depth: int) -> None:
        for _ in range(size):
            if kind in (_TRUE, _FALSE):  # in a list a boolean has a byte of its own
                self._byte()
            else:
                self._skip(kind, depth)

    def _list_head(self) -> tuple[int, int]:
        head = self._byte()
        size = head >> 4
        if size == 15:
            return self._size(), head & 15
        self._count(size)
        return size, head & 15

    def _size(self) -> int:
        """Of a list or a map; no element takes less than a byte."""
        size = self._varint(32)
        if size > len(self._data) - self.at:
            raise EndsEarlyError(f"{size} elements are claimed, more than there are bytes")
        self._count(size)
        return size

    def _bytes(self) -> bytes:
        size = self._varint(32)
        start = self.at
        self._pass(size)
        return self._data[start : self.at]

    def _pass(self, size: int) -> None:
        if size > len(self._data) - self.at:
            raise EndsEarlyError(f"{size} bytes are claimed, more than there are")
        self.at += size

    def _number(self, bits: int) -> int:
        """A zigzag-coded integer."""
        value = self._varint(bits)
        return (value >> 1) ^ -(value & 1)

    def _varint(self, bits: int) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift > 63:
                raise ValueError("a number of more than 64 bits")
        if value >> bits:
            raise ValueError(f"a number of more than {bits} bits")
        return value

    def _byte(self) -> int:
        try:
            byte = self._data[self.at]
        except IndexError:
            raise EndsEarlyError("it ends early") from None
        self.at += 1
        return byte

    def _count(self, elements: int) -> None:
        self._left -= elements
        if self._left < 0:
            raise ValueError("it has more fields and elements than are read")

    def _deeper(self, depth: int) -> int:
        if depth >= _DEEPEST:
            raise ValueError(f"structs lie deeper than {_DEEPEST} in each other")
        return depth + 1
