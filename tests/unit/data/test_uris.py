"""URIs and paths: what is below a root is found, everything else is refused without a look at it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.data.uris import MediaFolder, is_file, is_folder, refusal, resolve
from core.errors import SpecError

Roots = dict[str, Path]


def test_a_file_below_a_root(root: Path, roots: Roots) -> None:
    (root / "clips").mkdir()
    (root / "clips" / "a b.csv").write_text("x")
    assert resolve("data://clips/a b.csv", roots) == root / "clips" / "a b.csv"
    assert resolve("DATA://clips/./a b.csv", roots) == root / "clips" / "a b.csv"
    assert resolve("data://clips//a b.csv", roots) == root / "clips" / "a b.csv"


def test_it_need_not_exist(root: Path, roots: Roots) -> None:
    assert resolve("data://nowhere/x.csv", roots) == root / "nowhere" / "x.csv"


def test_a_path_relative_to_a_folder(root: Path, roots: Roots) -> None:
    assert resolve("audio/1.wav", roots, base=root / "clips") == root / "clips" / "audio" / "1.wav"
    assert resolve("data://other/1.wav", roots, base=root / "clips") == root / "other" / "1.wav"


@pytest.mark.parametrize(
    "uri",
    [
        "clips/a.csv",
        "/etc/passwd",
        "data:///etc/passwd",
        "data://../secret",
        "data://clips/../../secret",
        "data://clips/..",
        "data://%2e%2e/secret",
        "data://%2E%2e/secret",
        "data://a%2fb",
        "data://a%5cb",
        "data://a%00b",
        "data://a\x00b",
        "data://a\nb",
        "data://a\\..\\b",
        "data://\ud800",
        "data://" + "x" * 3000,
        "s3://bucket/key",
        "file:///etc/passwd",
        "http://example.org/x",
        "other://x",
        "",
    ],
)
def test_refused(uri: str, roots: Roots) -> None:
    with pytest.raises(SpecError) as raised:
        resolve(uri, roots, pointer="#/dataset/source/uri")
    assert raised.value.code == "source.forbidden"
    (issue,) = raised.value.issues
    assert (issue.code, issue.pointer) == ("source.forbidden", "#/dataset/source/uri")
    assert issue.hint == "name a file below a configured root: data://..., models://..."


@pytest.mark.parametrize("path", ["../x", "/x", "s3://x", "a/../../x", "%2e%2e/x", "a\\b", "x\x00"])
def test_refused_inside_a_manifest(path: str, root: Path, roots: Roots) -> None:
    with pytest.raises(SpecError, match=r"source\.forbidden"):
        resolve(path, roots, base=root)
    with pytest.raises(SpecError, match=r"source\.forbidden"):
        MediaFolder(root, roots).locate(path)
    assert MediaFolder(root, roots).refuses(path)


def test_a_link_that_leads_outside_is_refused_whether_or_not_its_end_exists(
    root: Path, roots: Roots, tmp_path: Path
) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (root / "there").symlink_to(tmp_path / "secret.txt")
    (root / "gone").symlink_to(tmp_path / "no such file")
    (root / "folder").symlink_to(tmp_path)
    told = []
    for name in ("there", "gone", "folder/secret.txt", "folder/none.txt"):
        for refused in (
            lambda name=name: resolve(f"data://{name}", roots),
            lambda name=name: MediaFolder(root, roots).locate(name),
        ):
            with pytest.raises(SpecError) as raised:
                refused()
            told.append(raised.value.detail.split(" is refused: ")[1])
    assert set(told) == {"it leads outside the root"}


def test_a_link_that_stays_inside_is_followed(root: Path, roots: Roots) -> None:
    (root / "real.txt").write_text("x")
    (root / "link.txt").symlink_to(root / "real.txt")
    assert resolve("data://link.txt", roots) == root / "real.txt"
    assert MediaFolder(root, roots).locate("link.txt") == root / "real.txt"


def test_a_root_may_itself_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(root)
    (root / "x").write_text("x")
    assert resolve("data://x", {"data": tmp_path / "alias"}) == root / "x"


def test_a_folder_beside_the_root_with_a_longer_name_is_outside(root: Path, roots: Roots) -> None:
    (root.parent / "data2").mkdir()
    (root / "x").symlink_to(root.parent / "data2")
    with pytest.raises(SpecError, match="outside"):
        resolve("data://x", roots)


def test_a_base_outside_every_root_is_refused(tmp_path: Path, roots: Roots) -> None:
    with pytest.raises(SpecError, match="outside"):
        resolve("x", roots, base=tmp_path)


def test_the_answer_never_holds_the_root_itself(root: Path, roots: Roots) -> None:
    with pytest.raises(SpecError) as raised:
        resolve("data://../x", roots)
    assert str(root) not in str(raised.value.to_json())


def test_names_with_percent_and_colon_are_only_names(root: Path, roots: Roots) -> None:
    assert resolve("100%.png", roots, base=root) == root / "100%.png"
    assert resolve("a:b.png", roots, base=root) == root / "a:b.png"
    assert refusal("..a/b..") is None


def test_only_regular_files_are_files(root: Path) -> None:
    os.mkfifo(root / "pipe")
    (root / "loop").symlink_to(root / "loop")
    (root / "file").write_text("")
    assert [is_file(root / name) for name in ("file", "pipe", "loop", "none", "n" * 300, ".")] == [True] + [False] * 5
    assert [is_folder(root / name) for name in (".", "file", "none", "n" * 300)] == [True, False, False, False]


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=40) | st.lists(st.sampled_from(["..", ".", "a", "", "%2e", "/", "\\", "~"])).map("/".join))
def test_whatever_is_not_refused_lies_below_the_root(text: str, root: Path, roots: Roots) -> None:
    folder = MediaFolder(root, roots)
    with contextlib.suppress(SpecError):
        assert folder.locate(text).is_relative_to(root)
        assert not folder.refuses(text)
