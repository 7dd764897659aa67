"""The modality video: read, fitted on T, encoded, and the built-in encoder that sees which way things move."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from core.data.blobs import BytesBlob
from core.data.dataset import prepare
from core.data.modalities import decode_sample, info_of
from core.data.modalities.base import ModalityInfo
from core.data.modalities.video import encode_videos, fit_videos, read_videos
from core.events import RunCompleted
from core.models.encoders import build_encoder
from core.spec.data import BuiltinEncoder, VideoPreprocess
from core.spec.job import JobSpec
from core.training.plan import planned_samples
from core.training.progress import ProgressMeter
from core.training.run import run
from core.training.session import Session
from tests.unit.data.builders import write_csv
from tests.unit.data.test_clips import clip


def moving(start: int, step: int, row: int) -> bytes:
    """A bright square that moves sideways over a dark ground, round and round; six frames of 16 x 16."""
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as file:
        stream: Any = file.add_stream("ffv1", rate=8)
        stream.height, stream.width, stream.pix_fmt = 16, 16, "gray"
        for frame in range(6):
            pixels = np.zeros((16, 16), np.uint8)
            pixels[row : row + 3, [(start + step * frame + k) % 16 for k in range(3)]] = 255
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="gray")))
        file.mux(stream.encode())
    return out.getvalue()


def test_standardised_on_the_training_rows_alone() -> None:
    raws = [clip([0, 0]), None, clip([102, 102]), b"junk", clip([255, 255]), clip([1, 1], shape=(8, 8))]
    blobs = [None if raw is None else BytesBlob(raw) for raw in raws]
    preprocess = VideoPreprocess(frames=2)
    reading = read_videos(blobs, preprocess)
    assert (reading.raw.shape, reading.raw.dtype) == ((6, 2, 1, 16, 24), np.uint8)
    assert [(problem.row, problem.code) for problem in reading.problems] == [(3, "file.format"), (5, "value.shape")]
    assert [len(digest) for digest in reading.digests] == [32, 0, 32, 32, 32, 32]
    state = fit_videos(reading.raw, np.array([0, 2]), preprocess)
    # Pixels 0 and 102 of 255: mean 0.2, deviation 0.2.
    np.testing.assert_allclose([state["mean"], state["std"]], [[0.2], [0.2]])
    encoded = encode_videos(reading.raw[[0, 2, 4]], state)
    assert (encoded.dtype, encoded.flags.c_contiguous) == (np.float32, True)
    np.testing.assert_allclose(encoded[:, 1, 0, 0, 0], [-1.0, 1.0, 4.0], rtol=1e-6)
    assert info_of("clip", state).shape == (2, 1, 16, 24)
    again = decode_sample({"clip": state}, {"clip": clip([255, 255])})["clip"]
    assert np.array_equal(again, encoded[2:])


def test_from_a_manifest_to_a_trained_model(root: Path, tmp_path: Path) -> None:
    rows = []
    for k in range(24):
        (root / f"{k}.mkv").write_bytes(moving(k, 1 if k % 2 else -1, k % 12))
        rows.append({"label": "lr"[k % 2], "split": "train" if k < 16 else "test", "clip": f"{k}.mkv", "x": k})
    write_csv(root / "v.csv", rows)
    raw = {
        "dataset": {
            "source": {"type": "manifest", "uri": "data://v.csv"},
            "target": {"column": "label"},
            "modalities": [
                {"name": "clip", "type": "video", "column": "clip", "preprocess": {"frames": 6}},
                {"name": "x", "type": "tabular", "columns": [{"name": "x", "type": "number"}]},
            ],
            "split": {"method": "column", "column": "split"},
        },
        "blending": {"strategy": "online", "super_epochs": {"first": 1, "later": 1}, "estimator": {"type": "gradient"}},
        "training": {"epochs": 2, "batch_size": 8},
    }
    spec = JobSpec.model_validate(raw)
    data = prepare(spec, {"data": root})
    assert data.modalities["clip"] == ModalityInfo(name="clip", kind="video", shape=(6, 1, 16, 16))
    assert data.batch(np.array([3, 4]))["clip"].shape == (2, 6, 1, 16, 16)
    session = Session(spec, data, torch.device("cpu"))
    meter = ProgressMeter(tmp_path, total=planned_samples(session), done=0, epochs=2, should_stop=lambda: False)
    assert isinstance(list(run(session, meter, tmp_path))[-1], RunCompleted)


def test_the_encoder_learns_which_way_things_move() -> None:
    rng = np.random.default_rng(0)
    steps = rng.choice([-1, 1], 160)
    blobs = [BytesBlob(moving(int(rng.integers(16)), int(step), int(rng.integers(13)))) for step in steps]
    preprocess = VideoPreprocess(frames=6)
    raw = read_videos(blobs, preprocess).raw
    state = fit_videos(raw, np.arange(112), preprocess)
    x, y = torch.from_numpy(encode_videos(raw, state)), torch.from_numpy((steps > 0).astype(np.int64))
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        build_encoder(info_of("clip", state), BuiltinEncoder(features=16)), torch.nn.Linear(16, 2)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    for _ in range(30):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x[:112]), y[:112]).backward()
        optimizer.step()
    right = (model(x[112:]).argmax(1) == y[112:]).float().mean()
    assert right >= 0.9, f"{right:.2f} of unseen clips"
