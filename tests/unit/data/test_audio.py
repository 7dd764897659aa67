"""WAV and FLAC: the mel scale and the spectrogram against known numbers, and every way in which a file can be bad."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.blobs import Blob, FileBlob
from core.data.modalities import audio as module
from core.data.modalities import decode_sample, info_of
from core.data.modalities.audio import decode_sound, encode_sounds, fit_sounds, levelled, read_sounds
from core.data.modalities.base import Reading
from core.data.modalities.logmel import SILENCE, LogMel, hz_to_mel, mel_filters, mel_to_hz
from core.data.problems import SampleError
from core.errors import DataError
from core.spec.data import AudioPreprocess
from tests.unit.data.builders import RATE, tone, wav

SMALL = {"sample_rate": RATE, "mels": 16}


def decoded(raw: bytes, rate: int = RATE, seconds: float = 4.0) -> Any:
    return decode_sound(io.BytesIO(raw), rate, seconds)[0]


def problem(raw: bytes, **options: Any) -> SampleError:
    with pytest.raises(SampleError) as raised:
        decoded(raw, **options)
    return raised.value


def encoded_as(kind: str, samples: Any, subtype: str | None = None, rate: int = RATE) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=kind, subtype=subtype)
    return out.getvalue()


def read(root: Path, files: list[bytes | None], **preprocess: Any) -> Reading:
    blobs: list[Blob | None] = []
    for index, raw in enumerate(files):
        if raw is not None:
            (root / f"{index}.wav").write_bytes(raw)
        blobs.append(None if raw is None else FileBlob(root / f"{index}.wav"))
    return read_sounds(blobs, AudioPreprocess(**{**SMALL, **preprocess}))


# the transform


def test_the_htk_mel_scale() -> None:
    np.testing.assert_allclose(
        hz_to_mel(np.array([0.0, 700.0, 1000.0, 6300.0])), [0.0, 781.17, 999.99, 2595.0], atol=0.01
    )
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(np.array([1.0, 440.0, 7999.0]))), [1.0, 440.0, 7999.0])


def test_mel_filters() -> None:
    filters = mel_filters(8000, 4, 16)
    assert filters.shape == (4, 9)
    # Corners in Hz of 4 filters up to 4000 Hz; bins are 500 Hz apart.
    # Even steps of mel are equal ratios of 1 + f / 700: corner k is 700 (6.714286 ** (k / 5) - 1).
    corners = mel_to_hz(np.linspace(0.0, hz_to_mel(4000.0), 6))
    np.testing.assert_allclose(corners, [0.0, 324.47, 799.33, 1494.31, 2511.43, 4000.0], atol=0.01)
    expected = np.zeros((4, 9))
    expected[0, 1] = (799.33 - 500) / (799.33 - 324.47)
    expected[1, 1] = (500 - 324.47) / (799.33 - 324.47)
    expected[1, 2] = (1494.31 - 1000) / (1494.31 - 799.33)
    expected[2, 2] = (1000 - 799.33) / (1494.31 - 799.33)
    expected[2, 3:6] = [(2511.43 - f) / (2511.43 - 1494.31) for f in (1500, 2000, 2500)]
    expected[3, 3:6] = [(f - 1494.31) / (2511.43 - 1494.31) for f in (1500, 2000, 2500)]
    expected[3, 6:8] = [(4000 - f) / (4000 - 2511.43) for f in (3000, 3500)]
    np.testing.assert_allclose(filters, expected, atol=1e-3)
    np.testing.assert_allclose(filters.sum(axis=1), [0.630, 1.081, 1.797, 2.499], atol=1e-3)


@pytest.mark.parametrize(
    ("rate", "mels", "window", "hop", "n_fft"),
    [(16_000, 64, 400, 160, 512), (8000, 64, 200, 80, 256), (8000, 128, 200, 80, 512), (8000, 256, 200, 80, 1024)],
)
def test_sizes_in_samples_and_no_filter_without_a_bin(rate: int, mels: int, window: int, hop: int, n_fft: int) -> None:
    transform = LogMel.of(rate, mels, 25.0, 10.0)
    assert (transform.window, transform.hop, transform.n_fft) == (window, hop, n_fft)
    assert (mel_filters(rate, mels, n_fft).sum(axis=1) > 0).all()


@pytest.mark.parametrize("hertz", [300.0, 1000.0, 3000.0])
def test_a_pure_tone_peaks_in_its_band(hertz: float) -> None:
    transform = LogMel.of(8000, 32, 25.0, 10.0)
    spectrogram = transform(tone(hertz, 0.2).astype(np.float32))
    centres = mel_to_hz(np.linspace(0.0, hz_to_mel(4000.0), 34))[1:-1]
    nearest = int(np.argmin(np.abs(hz_to_mel(centres) - hz_to_mel(hertz))))
    assert spectrogram.shape == (32, 20)
    assert set(spectrogram[:, :15].argmax(axis=0)) == {nearest}


def test_silence_is_the_logarithm_of_the_floor() -> None:
    spectrogram = LogMel.of(8000, 16, 25.0, 10.0)(np.zeros(800, dtype=np.float32))
    np.testing.assert_allclose(spectrogram, -13.8155, atol=1e-3)
    assert pytest.approx(-13.8155, abs=1e-3) == SILENCE


def test_the_power_of_a_tone() -> None:
    # A sine of amplitude a on a bin, under a periodic Hann window of n samples: |X|^2 = (a n / 4)^2.
    transform = LogMel(8000, 1, 256, 256, 256)
    wave = (0.5 * np.sin(2 * np.pi * 64 * np.arange(256) / 256)).astype(np.float32)
    weights = mel_filters(8000, 1, 256)[0]
    # The Hann window spreads half the amplitude to each neighbour bin.
    power = (0.5 * 256 / 4) ** 2 * (weights[64] + 0.25 * (weights[63] + weights[65]))
    np.testing.assert_allclose(transform(wave)[0, 0], np.log(power + 1e-6), rtol=1e-5)


def test_a_frame_for_every_hop_that_begins_inside_the_clip() -> None:
    transform = LogMel.of(8000, 16, 25.0, 10.0)
    assert [transform.frames(samples) for samples in (1, 80, 81, 800)] == [1, 1, 2, 10]


def test_padding_a_clip_equals_padding_its_spectrogram() -> None:
    transform = LogMel.of(8000, 16, 25.0, 10.0)
    wave = tone(500.0, 0.0505).astype(np.float32)
    longer = transform(np.concatenate([wave, np.zeros(800, dtype=np.float32)]))
    shorter = transform(wave)
    np.testing.assert_allclose(longer[:, : shorter.shape[1]], shorter, atol=1e-5)
    np.testing.assert_allclose(longer[:, shorter.shape[1] :], SILENCE, atol=1e-5)


def test_many_frames_are_cut_into_chunks_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    transform = LogMel.of(8000, 16, 25.0, 10.0)
    wave = tone(500.0, 0.3).astype(np.float32)
    whole = transform(wave)
    monkeypatch.setattr("core.data.modalities.logmel._FRAMES_AT_ONCE", 7)
    np.testing.assert_allclose(transform(wave), whole, atol=1e-6)


# decoding


@pytest.mark.parametrize(
    ("kind", "subtype"), [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAVEX", "PCM_24"), ("FLAC", "PCM_16")]
)
def test_formats(kind: str, subtype: str) -> None:
    wave = tone(440.0, 0.02)
    np.testing.assert_allclose(decoded(encoded_as(kind, wave, subtype)), wave, atol=2e-4)


def test_channels_are_averaged() -> None:
    stereo = np.stack([np.full(100, 0.5), np.full(100, -0.25)], axis=1)
    np.testing.assert_allclose(decoded(wav(stereo, channels=2)), 0.125, atol=1e-4)


def test_resampled_to_the_rate_of_the_spec() -> None:
    wave = decoded(wav(tone(500.0, 0.5, rate=44_100), rate=44_100))
    assert len(wave) == 4000
    spectrum = np.abs(np.fft.rfft(wave))
    assert spectrum.argmax() == 250  # 4000 samples at 8000 Hz: bins of 2 Hz


def test_cropped_before_memory_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 100)
    assert len(decoded(wav(tone(500.0, 1.0)), seconds=0.25)) == 2000
    assert len(decoded(wav(tone(500.0, 1.0, rate=16_000), rate=16_000), seconds=0.25)) == 2000


def test_truncated() -> None:
    wave = np.random.default_rng(0).uniform(-0.5, 0.5, 4000)
    whole = wav(wave)
    error = problem(whole[: len(whole) // 2])
    assert (error.code, error.detail) == ("file.truncated", "it holds 3978 of 8000 bytes of sound")
    assert problem(whole[:30]).code in ("file.truncated", "file.undecodable")
    flac = encoded_as("FLAC", wave)
    assert problem(flac[: len(flac) // 2]).code in ("file.truncated", "file.undecodable")


def test_a_wav_from_a_pipe_has_no_length() -> None:
    raw = bytearray(wav(tone(440.0, 0.01)))
    raw[4:8] = raw[40:44] = struct.pack("<I", 0xFFFFFFFF)
    assert len(decoded(bytes(raw))) == 80


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"hello", "file.format"),
        (b"ID3\x03 an mp3", "file.format"),
        (b"OggS\x00", "file.format"),
        (b"#EXTM3U\nhttp://example.org/x.wav\n", "file.format"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", "file.undecodable"),
        (b"fLaC" + b"\x00" * 60, "file.undecodable"),
        (wav(np.zeros(0)), "file.undecodable"),
    ],
)
def test_not_a_sound(raw: bytes, code: str) -> None:
    assert problem(raw).code == code


def test_nan_in_a_float_wav_is_named_with_its_place() -> None:
    wave = np.zeros(100, dtype=np.float32)
    wave[17] = np.nan
    error = problem(encoded_as("WAV", wave, "FLOAT"))
    assert (error.code, error.detail) == ("value.not_finite", "nan at sample 17")


@pytest.mark.parametrize("rate", [100, 2_000_000])
def test_an_absurd_sample_rate(rate: int) -> None:
    assert "samples a second" in problem(wav(np.zeros(100), rate=rate)).detail


@settings(deadline=None, max_examples=120)
@given(
    cut=st.integers(0, 600), place=st.integers(0, 600), value=st.integers(0, 255), kind=st.sampled_from(["WAV", "FLAC"])
)
def test_damaged_bytes_never_raise_anything_else(cut: int, place: int, value: int, kind: str) -> None:
    raw = bytearray(encoded_as(kind, tone(440.0, 0.03)))
    raw[place % len(raw)] = value
    try:
        wave = decoded(bytes(raw[: len(raw) - cut] if cut < len(raw) else raw))
    except SampleError:
        return
    assert 0 < len(wave) <= 32_000


# reading, fitting, encoding


def test_frames_are_those_of_the_longest_training_clip(root: Path) -> None:
    reading = read(root, [wav(tone(500.0, seconds)) for seconds in (0.1, 0.2, 0.3)])
    assert [spectrogram.shape for spectrogram in reading.raw] == [(16, 10), (16, 20), (16, 30)]
    state = fit_sounds(reading.raw, np.array([0, 1]), AudioPreprocess(**SMALL))
    assert state["frames"] == 20
    encoded = encode_sounds(reading.raw, state)
    assert (encoded.shape, encoded.dtype, encoded.flags.c_contiguous) == ((3, 1, 16, 20), np.float32, True)
    assert info_of("voice", state).shape == (1, 16, 20)


def test_max_seconds_caps_the_frames(root: Path) -> None:
    reading = read(root, [wav(tone(500.0, 1.0))], max_seconds=0.25)
    assert fit_sounds(reading.raw, np.array([0]), AudioPreprocess(**SMALL))["frames"] == 25


def test_standardised_per_band_globally_or_not(root: Path) -> None:
    reading = read(root, [wav(tone(hertz, 0.1 + hertz / 10_000)) for hertz in (300.0, 900.0, 2000.0)])
    train = np.array([0, 1])
    each = fit_sounds(reading.raw, train, AudioPreprocess(**SMALL))
    encoded = encode_sounds(reading.raw, each)[train, 0]
    np.testing.assert_allclose(encoded.mean(axis=(0, 2)), 0.0, atol=1e-5)
    np.testing.assert_allclose(encoded.std(axis=(0, 2)), 1.0, atol=1e-5)
    whole = fit_sounds(reading.raw, train, AudioPreprocess(**SMALL, standardise="global"))
    assert len(set(whole["mean"])) == len(set(whole["std"])) == 1
    encoded = encode_sounds(reading.raw, whole)[train]
    assert abs(encoded.mean()) < 1e-5
    assert abs(encoded.std() - 1) < 1e-5
    none = fit_sounds(reading.raw, train, AudioPreprocess(**SMALL, standardise="none"))
    assert np.array_equal(encode_sounds(reading.raw[1:2], none)[0, 0], reading.raw[1])


def test_bands_that_are_always_silent_become_0(root: Path) -> None:
    reading = read(root, [wav(np.zeros(800)), wav(np.zeros(400))])
    state = fit_sounds(reading.raw, np.array([0, 1]), AudioPreprocess(**SMALL))
    assert np.abs(encode_sounds(reading.raw, state)).max() < 1e-5


def test_bad_rows_are_told_and_good_ones_kept(root: Path) -> None:
    reading = read(root, [None, b"junk", wav(tone(500.0, 0.1)), b""])
    assert [(problem.row, problem.code) for problem in reading.problems] == [(1, "file.format"), (3, "file.truncated")]
    assert reading.raw[2].shape == (16, 10)
    assert [len(digest) for digest in reading.digests] == [0, 32, 32, 0]


def test_mixed_and_low_sample_rates_are_warned_of(root: Path) -> None:
    both = read(root, [wav(tone(500.0), rate=4000), wav(tone(500.0)), wav(tone(500.0))])
    assert [(warning.code, warning.severity, warning.count) for warning in both.warnings] == [
        ("audio.mixed_sample_rates", "warning", 2),
        ("audio.upsampled", "warning", 1),
    ]
    assert both.warnings[0].examples == ("8000 Hz: 2 files", "4000 Hz: 1 files")
    low = read(root, [wav(tone(500.0))], sample_rate=16_000)
    assert [(warning.code, warning.hint) for warning in low.warnings] == [
        ("audio.upsampled", "set preprocess.sample_rate to 8000")
    ]
    assert read(root, [wav(tone(500.0))]).warnings == []


def test_sounds_that_would_not_fit_in_memory(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.data.modalities.base.MAX_STORE_BYTES", 1000)
    with pytest.raises(DataError, match=r"data\.too_large"):
        read(root, [wav(tone(500.0, 1.0))])


def test_a_new_sample_takes_the_same_road(root: Path) -> None:
    reading = read(root, [wav(tone(500.0, 0.1)), wav(tone(900.0, 0.2))])
    state = fit_sounds(reading.raw, np.array([0, 1]), AudioPreprocess(**SMALL))
    expected = encode_sounds(reading.raw, state)
    for row in (0, 1):
        path = root / f"{row}.wav"
        assert np.array_equal(decode_sample({"voice": state}, {"voice": path})["voice"], expected[row : row + 1])
        again = decode_sample({"voice": state}, {"voice": path.read_bytes()})["voice"]
        assert np.array_equal(again, expected[row : row + 1])


def test_rms_level_makes_quiet_and_loud_recordings_of_one_sound_alike():
    wave = (0.5 * np.sin(np.arange(800) / 7.0)).astype(np.float32)
    loud, quiet = levelled(wave, "rms"), levelled(wave * np.float32(0.03), "rms")
    assert float(np.sqrt(np.mean(loud**2))) == pytest.approx(0.1, rel=1e-5)
    assert quiet == pytest.approx(loud, rel=1e-5)


def test_rms_level_leaves_digital_silence_alone_and_none_leaves_everything_alone():
    silence = np.zeros(10, dtype=np.float32)
    assert (levelled(silence, "rms") == 0.0).all()
    wave = np.array([0.25, -0.5], dtype=np.float32)
    assert levelled(wave, "none") is wave
