"""URIs of object stores: what is below an allowed prefix has a path in the mirror, everything else is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core.data.uris import MediaFolder, refusal, remote_refusal, resolve
from core.errors import SpecError
from core.settings import RootSettings, Settings

PREFIXES = ("s3://bucket/sets", "s3://bucket/sets/inner", "gs://other")


def _roots(state: Path = Path("/nowhere")) -> dict[str, Path]:
    return Settings(state_dir=state, roots=RootSettings(remote=PREFIXES)).data_roots


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("s3://bucket/sets/a b.csv", "s3/bucket/sets/a b.csv"),
        ("S3://bucket/sets/./a.csv", "s3/bucket/sets/a.csv"),
        ("s3://bucket/sets", "s3/bucket/sets"),
        ("s3://bucket/sets/", "s3/bucket/sets"),
        ("s3://bucket/sets/inner/x@y.wav", "s3/bucket/sets/inner/x@y.wav"),
        ("gs://other/deep/er/1.png", "gs/other/deep/er/1.png"),
    ],
)
def test_below_a_prefix(uri: str, path: str) -> None:
    assert resolve(uri, _roots()) == Path("/nowhere/mirror/remote") / path


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket/sets-2/a.csv",
        "s3://bucket/set",
        "s3://bucket",
        "s3://bucket/other/a.csv",
        "s3://BUCKET/sets/a.csv",
        "s3://bucket/sets/../other/a.csv",
        "s3://bucket/sets/..",
        "s3://bucket/sets/%2e%2e/a.csv",
        "s3://bucket/sets/a%00b",
        "s3://bucket/sets/a\x00b",
        "s3://bucket/sets\\a.csv",
        "s3://bucket/sets//a.csv",
        "s3://bucket//sets/a.csv",
        "s3:///bucket/sets/a.csv",
        "s3://bucket/sets/a.csv?versionId=1",
        "s3://user@bucket/sets/a.csv",
        "s3://user:word@bucket/sets/a.csv",
        "gs://bucket/sets/a.csv",
        "s3a://bucket/sets/a.csv",
        "file:///bucket/sets/a.csv",
    ],
)
def test_refused_alone_and_in_a_cell(uri: str) -> None:
    roots = _roots()
    for base in (None, roots["s3://bucket/sets"], roots["data"]):
        with pytest.raises(SpecError, match=r"source\.forbidden"):
            resolve(uri, roots, base=base, pointer="#/x")
    for base in (roots["s3://bucket/sets"], roots["data"]):
        with pytest.raises(SpecError, match=r"source\.forbidden"):
            MediaFolder(base, roots).locate(uri)


def test_the_hint_names_what_is_allowed() -> None:
    with pytest.raises(SpecError) as raised:
        resolve("s3://bucket/x", _roots())
    assert str(raised.value.hint).endswith(
        "data://..., gs://other/..., models://..., s3://bucket/sets/..., s3://bucket/sets/inner/..."
    )


@pytest.mark.parametrize(
    "cell",
    ["../x", "/x", "a//b", "a?b", "a/../x", "%2e%2e/x", "a\\b", "s3://bucket/x", "simplecache::s3://bucket/sets/x"],
)
def test_cells_of_a_remote_manifest_are_refused(cell: str) -> None:
    roots = _roots()
    folder = MediaFolder(roots["s3://bucket/sets"], roots)
    assert folder.refuses(cell)
    with pytest.raises(SpecError, match=r"source\.forbidden"):
        folder.locate(cell)


def test_cells_of_a_remote_manifest() -> None:
    roots = _roots()
    base = roots["s3://bucket/sets"] / "clips"
    folder = MediaFolder(base, roots)
    assert folder.locate("wav/1.wav") == base / "wav" / "1.wav"
    assert folder.locate("gs://other/1.wav") == roots["gs://other"] / "1.wav"
    assert folder.locate("data://1.wav") == Path("/nowhere/data/1.wav")


_PIECES = st.lists(
    st.one_of(
        st.sampled_from(["bucket", "sets", "inner", "..", ".", "", "a", "%2e%2e", "a?b", "u@b"]), st.text(max_size=5)
    ),
    max_size=6,
)


@given(
    start=st.sampled_from(["s3://bucket/sets", "s3://bucket", "s3://", "gs://other", "S3://bucket/sets", ""]),
    rest=_PIECES,
)
def test_nothing_ever_leads_out_of_the_prefixes(start: str, rest: list[str]) -> None:
    """Whatever is accepted lies below an allowed prefix, name by name; the text itself says so."""
    uri, roots = start + "/".join(rest), _roots()
    try:
        path = resolve(uri, roots)
    except SpecError:
        return
    scheme, _, below = uri.partition("://")
    names = [name for name in below.split("/") if name not in ("", ".")]
    assert ".." not in names
    assert refusal(below) is None
    assert remote_refusal(below) is None
    assert any(
        [scheme.lower(), *names][: len(wanted)] == wanted for wanted in (["s3", "bucket", "sets"], ["gs", "other"])
    )
    assert path == Path("/nowhere/mirror/remote").joinpath(scheme.lower(), *names)


@pytest.mark.parametrize(
    "prefix",
    [
        "s3://",
        "s3:///x",
        "bucket/x",
        "http://host/x",
        "file:///x",
        "s3://user:word@bucket/x",
        "s3://bucket/../x",
        "s3://bucket/x?y",
        "s3://bucket//x",
        "s3://bucket/%2e",
    ],
)
def test_a_prefix_that_is_none_is_refused(prefix: str) -> None:
    with pytest.raises(ValidationError, match="use s3://bucket/folder"):
        RootSettings(remote=(prefix,))


def test_prefixes_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GBLEND_ROOTS__REMOTE", '["s3://bucket/sets/", "gs://other"]')
    settings = Settings(state_dir=Path("/nowhere"))
    assert settings.roots.remote == ("s3://bucket/sets", "gs://other")
    assert settings.data_roots["s3://bucket/sets"] == Path("/nowhere/mirror/remote/s3/bucket/sets")
    assert list(settings.local_roots) == ["data", "models"]
