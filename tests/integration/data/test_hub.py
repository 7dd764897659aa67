"""Models of a hub (a real server on loopback): fetched once, whole and right or not at all, and only what is needed."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch

from core.data.dataset import prepare
from core.data.feature_cache import FeatureCache
from core.data.features import Featuriser
from core.data.hub import Hub
from core.data.hub_access import HubAccess
from core.data.pretrained import PretrainedFiles, find_pretrained
from core.data.validation import check
from core.errors import DataError
from core.models.pretrained import load_frozen
from core.spec.data import PretrainedEncoder
from tests import tiny_models
from tests.hub_server import COMMIT, HubServer
from tests.unit.data.builders import errors, job, table_rows, table_spec, write_csv

BERT = PretrainedEncoder(type="transformers", hub="acme/bert", revision=COMMIT)
POINTER = "#/dataset/modalities/0/encoder/hub"
WEIGHTS = "model.safetensors"
OpenHub = Callable[..., Hub]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HubServer]:
    folder = tmp_path / "served" / "acme" / "bert"
    folder.mkdir(parents=True)
    tiny_models.bert(folder)
    server = HubServer(tmp_path / "served")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def hub_of(server: HubServer, tmp_path: Path) -> Iterator[OpenHub]:
    """Opens what a process has of the hub, again and again over the same folder."""
    made = []

    def make(**changes: Any) -> Hub:
        access: dict[str, Any] = {"allowed": ("acme/*",), "folder": tmp_path / "kept", "endpoint": server.endpoint}
        doing = changes.pop("doing", lambda text: None)
        made.append(Hub(HubAccess(**{**access, **changes}), doing, rest_seconds=0.0))
        return made[-1]

    yield make
    for hub in made:
        hub.close()


def find(hub: Hub, encoder: PretrainedEncoder = BERT, kind: str = "text") -> PretrainedFiles:
    return find_pretrained(encoder, kind, {}, POINTER, hub)


def refused(hub: Hub, encoder: PretrainedEncoder = BERT) -> tuple[str, str]:
    """Code and detail of the only problem, which points at the id and has a hint."""
    with pytest.raises(DataError) as caught:
        find(hub, encoder)
    (issue,) = caught.value.issues
    assert issue.pointer == POINTER
    assert issue.hint
    return issue.code, issue.detail


def kept(tmp_path: Path) -> list[str]:
    """Names of the models that are there as a whole."""
    return sorted(path.name for path in (tmp_path / "kept").iterdir() if path.is_dir() and path.suffix != ".part")


# what is fetched


def test_a_model_is_fetched_once_for_all(server: HubServer, hub_of: OpenHub, tmp_path: Path) -> None:
    first = find(hub_of())
    asked = dict(server.asked)
    assert asked == {
        "api": 1,
        **{f"{verb} {name}": 1 for verb in ("HEAD", "GET") for name in (WEIGHTS, "config.json", "tokenizer.json")},
    }
    again = hub_of()
    assert find(again).digest() == first.digest()
    assert find(again).files == first.files
    assert dict(server.asked) == asked
    assert kept(tmp_path) == [f"acme--bert.{COMMIT}"]
    served = PretrainedEncoder(type="transformers", path="models://acme/bert")
    assert find_pretrained(served, "text", {"models": server.root}).digest() == first.digest()


def test_only_what_a_model_is_loaded_from_is_fetched(server: HubServer, hub_of: OpenHub) -> None:
    for name in ("pytorch_model.bin", "modeling_evil.py", "README.md", "adapter.safetensors", "training_args.bin"):
        (server.root / "acme" / "bert" / name).write_bytes(b"no")
    folder = find(hub_of()).folder
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", WEIGHTS, "tokenizer.json"]
    fetched = {key.partition(" ")[2] for key in server.asked if key != "api"}
    assert fetched == {"config.json", WEIGHTS, "tokenizer.json"}


def test_weights_in_parts(server: HubServer, hub_of: OpenHub) -> None:
    folder = server.root / "acme" / "bert"
    model = load_frozen(torch.device("cpu"))(find(hub_of()), {"kind": "text"}, "#")
    import transformers

    loaded = transformers.AutoModel.from_pretrained(folder)
    (folder / WEIGHTS).unlink()
    loaded.save_pretrained(folder, max_shard_size="12KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    parts = find(hub_of(folder=server.root / "kept"))
    again = load_frozen(torch.device("cpu"))(parts, {"kind": "text"}, "#")
    assert (again.features(["good cat"]) == model.features(["good cat"])).all()


def test_a_training_with_a_model_of_the_hub(server: HubServer, hub_of: OpenHub, tmp_path: Path) -> None:
    """Its features are those of the same files below `models://`: computed once for both."""
    write_csv(tmp_path / "t.csv", [{**row, "words": f"w{k}"} for k, row in enumerate(table_rows(24))])
    seen = []

    def counted(*asked: Any) -> Any:
        model = load_frozen(torch.device("cpu"))(*asked)

        class Model:
            def features(self, samples: Any) -> Any:
                seen.extend(samples)
                return model.features(samples)

        return Model()

    for place in ({"hub": "acme/bert", "revision": COMMIT}, {"path": "models://acme/bert"}):
        words = {"name": "words", "type": "text", "column": "words", "encoder": {"type": "transformers", **place}}
        spec = job(table_spec(modalities=[words, table_spec()["modalities"][0]]))
        cache = FeatureCache(tmp_path / "features", 2**20)
        featuriser = Featuriser(counted, cache, hub=hub_of())
        data = prepare(spec, {"data": tmp_path, "models": server.root}, featuriser=featuriser)
        assert data.modalities["words"].shape == (tiny_models.WIDTH,)
        assert len(seen) == 24


def test_several_at_once_fetch_once(server: HubServer, hub_of: OpenHub) -> None:
    told: list[str] = []
    hubs = [hub_of(doing=told.append) for _ in range(4)]
    threads = [threading.Thread(target=find, args=(hub,)) for hub in hubs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.asked["api"] == 1
    assert server.asked[f"GET {WEIGHTS}"] == 1
    assert any("file 3 of 3" in line for line in told)


# when the network breaks


@pytest.mark.parametrize("file", [WEIGHTS, "tokenizer.json"])
def test_a_connection_that_breaks_goes_on_where_it_broke(server: HubServer, hub_of: OpenHub, file: str) -> None:
    server.faults.break_after = {file: [100, 7, 0]}
    find(hub_of())
    assert server.asked[f"GET {file}"] == 4
    assert server.sent[file] == (server.root / "acme" / "bert" / file).stat().st_size


def test_a_server_without_ranges_sends_it_all_again(server: HubServer, hub_of: OpenHub) -> None:
    server.faults.break_after, server.faults.no_ranges = {WEIGHTS: [1000]}, True
    find(hub_of())
    assert server.sent[WEIGHTS] == 1000 + (server.root / "acme" / "bert" / WEIGHTS).stat().st_size


def test_what_had_arrived_is_there_for_the_next_attempt(server: HubServer, hub_of: OpenHub, tmp_path: Path) -> None:
    server.faults.break_after = {WEIGHTS: [1000] * 4}
    code, detail = refused(hub_of())
    assert (code, "cannot be reached" in detail) == ("encoder.unreachable", True)
    assert kept(tmp_path) == []
    find(hub_of())
    assert server.asked["GET config.json"] == 1
    assert server.sent[WEIGHTS] == (server.root / "acme" / "bert" / WEIGHTS).stat().st_size


@pytest.mark.parametrize("where", ["api", "config.json", WEIGHTS])
def test_a_hub_that_is_overloaded_is_asked_again(server: HubServer, hub_of: OpenHub, where: str) -> None:
    server.faults.status = {where: [503, 429]}
    find(hub_of())
    server.faults.status = {where: [500] * 4}
    assert refused(hub_of(folder=server.root / "elsewhere"))[0] == "encoder.unreachable"


def test_a_hub_that_is_away(server: HubServer, hub_of: OpenHub) -> None:
    server.stop()
    assert refused(hub_of())[0] == "encoder.unreachable"


def test_a_worker_that_is_told_to_stay_offline(
    server: HubServer, hub_of: OpenHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = find(hub_of())
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert find(hub_of()).files == found.files  # what is there needs no network
    code, detail = refused(hub_of(folder=server.root / "elsewhere"))
    assert (code, "HF_HUB_OFFLINE" in detail) == ("encoder.unreachable", True)


# what is refused


@pytest.mark.parametrize(
    "changes", [{"hub": "acme/other"}, {"revision": "f" * 40}], ids=["no such model", "no such commit"]
)
def test_what_the_hub_does_not_have(server: HubServer, hub_of: OpenHub, changes: dict[str, str]) -> None:
    encoder = PretrainedEncoder(**{"type": "transformers", "hub": "acme/bert", "revision": COMMIT, **changes})
    assert refused(hub_of(), encoder)[0] == "encoder.not_found"
    assert server.asked == {"api": 1}  # asking again would not help


def test_what_this_worker_does_not_allow(server: HubServer, hub_of: OpenHub) -> None:
    assert refused(hub_of(allowed=("acme/other", "google/*")))[0] == "encoder.hub_forbidden"
    with pytest.raises(DataError, match=r"encoder\.hub_forbidden"):
        find_pretrained(BERT, "text", {}, POINTER)
    assert server.asked == {}


def test_pickled_weights_are_not_fetched(server: HubServer, hub_of: OpenHub, tmp_path: Path) -> None:
    folder = server.root / "acme" / "bert"
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")
    code, detail = refused(hub_of())
    assert (code, "never read" in detail) == ("encoder.no_safetensors", True)
    assert server.asked == {"api": 1}
    assert kept(tmp_path) == []


def test_more_bytes_than_may_be_kept(server: HubServer, hub_of: OpenHub) -> None:
    size = sum(path.stat().st_size for path in (server.root / "acme" / "bert").iterdir())
    code, detail = refused(hub_of(most_bytes=size - 1))
    assert (code, f"{size:,} of {size - 1:,} bytes" in detail) == ("encoder.too_large", True)
    assert not any(key.startswith("GET") for key in server.asked)
    find(hub_of(most_bytes=size))


def test_a_config_of_gigabytes(server: HubServer, hub_of: OpenHub) -> None:
    server.faults.sizes = {"tokenizer.json": 2**33}
    code, detail = refused(hub_of())
    assert (code, "tokenizer.json" in detail) == ("encoder.too_large", True)


def test_a_file_that_is_longer_than_the_hub_said(server: HubServer, hub_of: OpenHub, tmp_path: Path) -> None:
    server.faults.longer = {WEIGHTS: 1}
    assert refused(hub_of())[0] == "encoder.too_large"
    assert kept(tmp_path) == []


@pytest.mark.parametrize("file", [WEIGHTS, "config.json"])
def test_a_file_that_is_another_one(server: HubServer, hub_of: OpenHub, tmp_path: Path, file: str) -> None:
    server.faults.changed = {file}
    code, detail = refused(hub_of())
    assert (code, "checksum" in detail) == ("encoder.malformed", True)
    assert server.asked[f"GET {file}"] == 2
    assert kept(tmp_path) == []
    server.faults.changed = set()
    find(hub_of())


@pytest.mark.parametrize(
    "name",
    ["../../evil.json", "/etc/evil.json", "a/../../evil.json", "..\\evil.json", "%2e%2e/evil.json", "a\x00.json", ""],
)
def test_names_that_lead_elsewhere(server: HubServer, hub_of: OpenHub, tmp_path: Path, name: str) -> None:
    server.faults.listed = [name]
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    assert refused(hub_of())[0] == "encoder.malformed"
    made = {path for path in map(str, tmp_path.rglob("*")) if path not in before}
    assert all(path.startswith(str(tmp_path / "kept")) for path in made)
    assert server.asked == {"api": 1}


def test_files_in_folders_are_no_part_of_the_model(server: HubServer, hub_of: OpenHub) -> None:
    server.faults.listed = ["onnx/model.safetensors", "onnx/config.json"]
    assert sorted(path.name for path in find(hub_of()).folder.iterdir()) == ["config.json", WEIGHTS, "tokenizer.json"]


def test_code_of_its_own_is_refused_before_weights_are_fetched(server: HubServer, hub_of: OpenHub) -> None:
    path = server.root / "acme" / "bert" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "auto_map": {"AutoModel": "evil.Model"}}))
    assert refused(hub_of())[0] == "encoder.remote_code"
    assert server.asked[f"GET {WEIGHTS}"] == 0


def test_another_commit_than_was_asked_for(server: HubServer, hub_of: OpenHub) -> None:
    server.faults.sha = "e" * 40
    assert refused(hub_of())[0] == "encoder.malformed"


def test_what_is_no_hub(server: HubServer, hub_of: OpenHub) -> None:
    server.faults.garbage = True
    code, detail = refused(hub_of())
    assert (code, "does not answer like one" in detail) == ("encoder.malformed", True)


# room


def test_what_was_used_longest_ago_makes_room_unless_it_is_in_use(
    server: HubServer, hub_of: OpenHub, tmp_path: Path
) -> None:
    for name in ("second", "third"):
        shutil.copytree(server.root / "acme" / "bert", server.root / "acme" / name)
    size = sum(path.stat().st_size for path in (server.root / "acme" / "bert").iterdir())

    def take(name: str) -> Hub:
        hub = hub_of(most_bytes=2 * size)
        find(hub, BERT.model_copy(update={"hub": f"acme/{name}"}))
        return hub

    def there() -> list[str]:
        return [name.partition("--")[2].partition(".")[0] for name in kept(tmp_path)]

    first, second = take("bert"), take("second")
    assert there() == ["bert", "second"]
    second.close()
    third = take("third")
    assert there() == ["bert", "third"], "the first is older, but in use"
    first.close()
    third.close()
    take("bert").close()  # used just now
    take("second")
    assert there() == ["bert", "second"]


def test_what_a_killed_removal_left_makes_room_too(server: HubServer, hub_of: OpenHub, tmp_path: Path) -> None:
    size = sum(path.stat().st_size for path in (server.root / "acme" / "bert").iterdir())
    for name in ("acme--gone.0.gone", "acme--half.0.part"):
        (tmp_path / "kept" / name).mkdir(parents=True)
        (tmp_path / "kept" / name / WEIGHTS).write_bytes(b"x" * size)
    find(hub_of(most_bytes=size))
    assert sorted(path.name for path in (tmp_path / "kept").iterdir() if path.is_dir()) == [f"acme--bert.{COMMIT}"]


# at submission


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        ((), ["encoder.hub_forbidden"]),
        (("acme/other", "other/*"), ["encoder.hub_forbidden"]),
        (("acme/bert",), []),
        (("acme/*",), []),
        (("*",), []),
    ],
)
def test_a_submission_asks_the_operators_list_and_no_network(
    server: HubServer, tmp_path: Path, allowed: tuple[str, ...], expected: list[str]
) -> None:
    write_csv(tmp_path / "t.csv", [{**row, "words": "good"} for row in table_rows(24)])
    encoder = {"type": "transformers", "hub": "acme/bert", "revision": COMMIT}
    words = {"name": "words", "type": "text", "column": "words", "encoder": encoder}
    spec = job(table_spec(modalities=[words, table_spec()["modalities"][0]]))
    found = check(spec.dataset, spec.holdout, {"data": tmp_path}, allow_hub=allowed)
    assert errors(found) == [(code, POINTER) for code in expected]
    assert all("GBLEND_FEATURES__ALLOW_HUB" in (issue.hint or "") for issue in found if issue.code in expected)
    assert server.asked == {}
