"""URIs and paths: the one gate between what a spec or a manifest says and the file system.

A URI names a file below a root that the operator configured: `data://clips/manifest.csv`. A path inside a manifest is
relative to a folder below such a root. A root may also be a URL prefix on an object store (`s3://bucket/datasets`);
what is below it has a path, too, which is a name where nothing ever lies (`core.data.remote`). Whatever else arrives is
refused with `source.forbidden`, and the answer is the same whether or not the place that it points at exists.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from core.errors import Issue, SpecError

MAX_LENGTH = 2048
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.\-]*)://")
_ENCODED = re.compile(r"%(2e|2f|5c|00)", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def resolve(
    uri: str,
    roots: Mapping[str, Path],
    *,
    base: Path | None = None,
    pointer: str | None = None,
    hint: str | None = None,
) -> Path:
    """The real path of the file or folder that `uri` names; it need not exist.

    `roots` maps a scheme, or a URL prefix, to its folder. With `base` (a folder that `resolve` gave), `uri` may also be
    a path relative to it; the result must lie below the same root as `base`. Nothing is percent-decoded.

    Raises SpecError `source.forbidden` (with one Issue at `pointer`) for everything that is not below a root: an
    unknown scheme, an absolute path, `..`, an encoded dot, slash or NUL, a backslash, a link that leads outside; on
    object stores also an empty segment, a user or a query.
    """
    match = _SCHEME.match(uri)
    if match is None and base is None:
        raise _forbidden(uri, "it has no scheme", roots, pointer, hint)
    if match is None:
        assert base is not None
        found = root_of(base, roots)
        if found is None:
            raise _forbidden(uri, "its folder lies outside the roots", roots, pointer, hint)
        (name, root), start, rest = found, base, uri
    else:
        reason, named = _named(uri, match, roots)
        if named is None:
            raise _forbidden(uri, reason, roots, pointer, hint)
        name, rest = named
        root = start = Path(os.path.realpath(roots[name]))
    refused = refusal(rest) or (remote_refusal(rest) if is_remote(name) else None)
    if refused is not None:
        raise _forbidden(uri, refused, roots, pointer, hint)
    # `realpath` follows every link, so that what is compared with the root is the place itself.
    path = Path(os.path.realpath(start / rest))
    if not path.is_relative_to(root):
        raise _forbidden(uri, "it leads outside the root", roots, pointer, hint)
    return path


def is_remote(name: str) -> bool:
    """Whether the name of a root is a URL prefix."""
    return "://" in name


def _named(uri: str, match: re.Match[str], roots: Mapping[str, Path]) -> tuple[str, tuple[str, str] | None]:
    """The name of the root that a URI begins with and the path below it, or why there is none."""
    scheme, rest = match.group(1).lower(), uri[match.end() :]
    if scheme in roots:
        return "", (scheme, rest)
    prefixes = [name for name in roots if name.startswith(f"{scheme}://")]
    if not prefixes:
        return f"the scheme {scheme!r} is not allowed", None
    refused = refusal(rest) or remote_refusal(rest)
    if refused is not None:
        return refused, None
    if "@" in rest.partition("/")[0]:
        return "it names a user", None
    url = f"{scheme}://{rest}"
    inside = [name for name in prefixes if url == name or url.startswith(f"{name}/")]
    if not inside:
        return "it leads outside the root", None
    name = max(inside, key=len)
    return "", (name, url[len(name) + 1 :])


def refusal(path: str) -> str | None:
    """Why the text of a relative path is refused, or None. Looks at the text alone, never at the file system."""
    if len(path) > MAX_LENGTH:
        return f"it is longer than {MAX_LENGTH} characters"
    if _CONTROL.search(path):
        return "it holds a control character"
    if any("\ud800" <= letter <= "\udfff" for letter in path):
        return "it is not valid Unicode"
    if "\\" in path:
        return "it holds a backslash; write forward slashes"
    if _ENCODED.search(path):
        return "it holds a percent-encoded dot, slash or NUL"
    if path.startswith("/"):
        return "it is absolute"
    if ".." in path.split("/"):
        return "it holds '..'"
    return None


def remote_refusal(path: str) -> str | None:
    """Why the text of a path on an object store is refused beyond `refusal`: it would name something else there."""
    if "//" in path:
        return "it holds an empty name"
    if "?" in path:
        return "it holds a question mark"
    return None


def is_file(path: Path) -> bool:
    """Whether a regular file is there (not a folder, a pipe or a device: opening those may block for ever)."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:  # missing, a loop of links, a name too long, no permission: in every case nothing to read
        return False


def is_folder(path: Path) -> bool:
    """Whether a folder is there."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except OSError:  # as above
        return False


class MediaFolder:
    """Resolves the many paths of one manifest column, looking at each parent folder only once."""

    def __init__(self, base: Path, roots: Mapping[str, Path]) -> None:
        self._base = base
        self._roots = roots
        self._parents: dict[str, Path] = {}
        root = root_of(base, roots)
        self._remote = root is not None and is_remote(root[0])

    def refuses(self, text: str) -> bool:
        """Whether the text alone is enough to refuse a cell; looks at no file."""
        match = _SCHEME.match(text)
        if match is not None:
            named = _named(text, match, self._roots)[1]
            return named is None or refusal(named[1]) is not None
        return refusal(text) is not None or (self._remote and remote_refusal(text) is not None)

    def locate(self, text: str) -> Path:
        """The path of one cell; raises SpecError `source.forbidden` like `resolve`."""
        head, slash, name = text.rpartition("/")
        if not name or name in (".", "..") or self.refuses(text) or _SCHEME.match(text):
            return resolve(text, self._roots, base=self._base)
        parent = self._parents.get(head)
        if parent is None:
            parent = self._parents[head] = resolve(head + slash or ".", self._roots, base=self._base)
        path = parent / name
        # Only a link can still lead elsewhere; everything above it was resolved with the parent.
        return resolve(text, self._roots, base=self._base) if path.is_symlink() else path


def escaped(text: str) -> str:
    """The beginning of a name or a path in quotes, printable whatever it holds."""
    return repr(text[:80].encode("unicode_escape").decode("ascii"))


def root_of(path: Path, roots: Mapping[str, Path]) -> tuple[str, Path] | None:
    """Name and real folder of the root that a path lies below; of several, the innermost."""
    real = Path(os.path.realpath(path))
    every = [(name, Path(os.path.realpath(folder))) for name, folder in roots.items()]
    inside = [(name, root) for name, root in every if real.is_relative_to(root)]
    return max(inside, key=lambda found: len(found[1].parts), default=None)


def _forbidden(uri: str, reason: str, roots: Mapping[str, Path], pointer: str | None, hint: str | None) -> SpecError:
    detail = f"{escaped(uri)} is refused: {reason}"
    hint = hint or f"name a file below a configured root: {', '.join(map(_shown, sorted(roots)))}"
    issue = Issue(code="source.forbidden", detail=detail, pointer=pointer, hint=hint)
    return SpecError(detail, code="source.forbidden", hint=hint, issues=(issue,))


def _shown(name: str) -> str:
    return f"{name}/..." if is_remote(name) else f"{name}://..."
