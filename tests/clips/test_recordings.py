import builtins
import os
from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile

from asr.clips.audio import read_piece
from asr.clips.recordings import BadAudio, recording
from tests.builders import speech_like
from tests.recorded import encode, pcm, wav_header, without_flac_length, without_mp3_length

pytest_plugins = ["tests.emulators"]

RATE_HZ = 44_100
FIVE_S = speech_like(5.0, rate_hz=RATE_HZ)
# Seconds; ahead, just ahead, over the end of the one before, back, far ahead, to the end
PIECES = [(0.0, 0.5), (0.5, 0.5), (0.9, 0.7), (0.25, 0.5), (14.0, 0.5), (14.25, 2.0), (28.5, 5.0), (0.0, 40.0)]


def whole(path):
    with recording(str(path)) as file:
        return file.read(0, 60 * file.rate_hz)


def difference(samples, original):
    """Of their energy: 0 for equal sound, 1 for silence."""
    n = min(len(samples), len(original))
    return float(np.sum((samples[:n] - original[:n]) ** 2) / np.sum(original[:n] ** 2))


def write(path, samples, rate_hz, **how):
    """In blocks: libsndfile's Vorbis encoder overflows the stack with a long one."""
    n_channels = 1 if samples.ndim == 1 else samples.shape[1]
    with soundfile.SoundFile(path, "w", rate_hz, n_channels, **how) as file:
        for start in range(0, len(samples), rate_hz):
            file.write(samples[start : start + rate_hz])
    return path


# (format, subtype, share of the energy that coding may change)
SOUNDFILE = [
    ("WAV", "PCM_U8", 1e-2),
    ("WAV", "PCM_16", 1e-6),
    ("WAV", "PCM_24", 1e-10),
    ("WAV", "PCM_32", 1e-12),
    ("WAV", "FLOAT", 0),
    ("WAV", "DOUBLE", 0),
    ("WAV", "ALAW", 1e-3),
    ("WAV", "ULAW", 1e-3),
    ("WAV", "MS_ADPCM", 1e-2),
    ("W64", "PCM_16", 1e-6),
    ("RF64", "PCM_16", 1e-6),
    ("AIFF", "PCM_16", 1e-6),
    ("AU", "ULAW", 1e-3),
    ("CAF", "PCM_16", 1e-6),
    ("FLAC", "PCM_16", 1e-6),
    ("FLAC", "PCM_24", 1e-10),
    ("OGG", "VORBIS", 2e-2),
    ("MP3", "MPEG_LAYER_III", 2e-2),
]


@pytest.mark.parametrize(("kind", "subtype", "tolerance"), SOUNDFILE)
def test_what_libsndfile_reads_comes_back(tmp_path, kind, subtype, tolerance):
    path = write(tmp_path / "clip", FIVE_S, RATE_HZ, format=kind, subtype=subtype)
    samples = whole(path)
    assert samples.dtype == np.float32 and samples.flags.c_contiguous
    assert len(samples) == pytest.approx(len(FIVE_S), abs=500)  # MS_ADPCM fills its last block
    assert difference(samples, FIVE_S) <= tolerance


# (name, codec, rate, bit rate, samples that the codec drops at the start, samples that it may add or lose at the end)
CONTAINERS = [
    ("clip.m4a", "aac", 44_100, None, 0, 1024),
    ("clip.mp4", "aac", 16_000, None, 0, 1024),
    ("lossless.m4a", "alac", 44_100, None, 0, 0),
    ("opus.mp4", "libopus", 48_000, None, 0, 960),
    ("clip.webm", "libopus", 48_000, None, 0, 0),
    ("clip.mka", "libmp3lame", 44_100, None, 0, 1152),
    ("clip.wma", "wmav2", 44_100, 64_000, 2048, 2048),  # FFmpeg's encoder begins with 2048 that it does not declare
    ("clip.aac", "aac", 44_100, None, -1024, 1024),  # a bare stream has no place to declare its priming
]


@pytest.mark.parametrize(("name", "codec", "rate_hz", "bit_rate", "dropped", "loose"), CONTAINERS)
def test_what_libsndfile_refuses_goes_to_pyav(tmp_path, name, codec, rate_hz, bit_rate, dropped, loose):
    original = speech_like(5.0, rate_hz=rate_hz)
    path = encode(tmp_path / name, codec, original, rate_hz, bit_rate)
    with pytest.raises(soundfile.SoundFileError):
        soundfile.SoundFile(path)
    samples = whole(path)
    expected = original[dropped:] if dropped >= 0 else np.concatenate([np.zeros(-dropped, np.float32), original])
    assert len(samples) == pytest.approx(len(expected), abs=loose)
    assert difference(samples, expected) < 2e-2


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_that_ends_before_its_picture_is_whole(tmp_path, suffix):
    path = tmp_path / f"film{suffix}"
    with av.open(str(path), "w") as container:
        picture, sound = container.add_stream("mpeg4", rate=10), container.add_stream("aac", rate=16_000, layout="mono")
        picture.width = picture.height = 16
        for n in range(30):
            frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 8 * n, np.uint8), format="rgb24")
            frame.pts, frame.time_base = n, Fraction(1, 10)
            container.mux(picture.encode(frame))
        frame = av.AudioFrame.from_ndarray(speech_like(1.5)[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16_000, 0
        container.mux([*sound.encode(frame), *sound.encode(None), *picture.encode(None)])
    with recording(str(path)) as file:
        piece = read_piece(file, 0.0, None, 30.0)
    assert len(piece.samples) == pytest.approx(1.5 * 16_000, abs=1024)
    assert difference(piece.samples, speech_like(1.5)) < 2e-2


def test_opus_comes_back_at_its_rate(tmp_path):
    original = speech_like(5.0, rate_hz=48_000)
    samples = whole(write(tmp_path / "clip.ogg", original, 48_000, format="OGG", subtype="OPUS"))
    assert len(samples) == len(original) and difference(samples, original) < 2e-2


@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_any_usual_rate_is_read(tmp_path, rate_hz, kind):
    original = speech_like(0.5, rate_hz=rate_hz)
    path = write(tmp_path / "clip", original, rate_hz, format=kind, subtype="PCM_16")
    with recording(str(path)) as file:
        assert (file.rate_hz, file.n_frames) == (rate_hz, len(original))
        assert difference(file.read(0, rate_hz), original) < 1e-6


MOST_CHANNELS = {"wav": 8, "flac": 8, "ogg": 8, "mp3": 2, "m4a": 6}  # that their encoders take here
MIXED = [(kind, n) for kind, most in MOST_CHANNELS.items() for n in (1, 2, 6, 8) if n <= most]


@pytest.mark.parametrize(("kind", "n_channels"), MIXED)
def test_channels_are_mixed_to_their_mean(tmp_path, kind, n_channels):
    original = np.stack([speech_like(2.0, n, 48_000) for n in range(n_channels)], axis=1)
    path = tmp_path / f"clip.{kind}"
    if kind == "m4a":
        encode(path, "aac", original, 48_000)
    else:
        write(path, original, 48_000, format=kind.upper())
    lossless = kind in ("wav", "flac")
    # Each channel has its own voice, and lossy coding errs in each.
    assert difference(whole(path), original.mean(axis=1)) < (1e-6 if lossless else 0.1)


def test_a_block_is_as_good_as_the_whole(tmp_path, monkeypatch):
    original = np.stack([FIVE_S, -0.5 * FIVE_S, FIVE_S[::-1]], axis=1)
    path = write(tmp_path / "clip.flac", original, RATE_HZ)
    expected = whole(path)
    monkeypatch.setattr("asr.clips.decoders.BLOCK", 10_000)
    np.testing.assert_array_equal(whole(path), expected)


SEEKABLE = [
    ("clip.wav", "WAV", "PCM_16", 0),
    ("clip.flac", "FLAC", "PCM_16", 0),
    ("vorbis.ogg", "OGG", "VORBIS", 0),
    ("opus.ogg", "OGG", "OPUS", 1e-3),  # decoding converges within 80 ms
    ("clip.mp3", "MP3", "MPEG_LAYER_III", 1e-6),
    ("clip.m4a", None, "aac", 1e-2),  # AAC draws its noise anew
    ("lossless.m4a", None, "alac", 0),
    ("clip.webm", None, "libopus", 0),
]


@pytest.mark.parametrize(("name", "kind", "codec", "tolerance"), SEEKABLE)
def test_a_piece_equals_the_slice_of_the_whole(tmp_path, name, kind, codec, tolerance):
    original = speech_like(30.0, rate_hz=48_000)
    path = tmp_path / name
    if kind:
        write(path, original, 48_000, format=kind, subtype=codec)
    else:
        encode(path, codec, original, 48_000)
    expected = whole(path)
    assert len(expected) == pytest.approx(len(original), abs=1024)
    with recording(str(path)) as file:
        for start_s, duration_s in PIECES:
            start, n = round(start_s * 48_000), round(duration_s * 48_000)
            np.testing.assert_allclose(file.read(start, n), expected[start : start + n], rtol=0, atol=tolerance)
        assert len(file.read(len(expected), 1)) == 0 and len(file.read(10**12, 1)) == 0


def test_libsndfile_still_seeks_elsewhere_in_vorbis(tmp_path):
    """Why Vorbis is decoded forward. Where this fails, it could be sought in as the others are."""
    path = write(tmp_path / "clip.ogg", speech_like(60.0, rate_hz=RATE_HZ), RATE_HZ, format="OGG", subtype="VORBIS")
    expected = whole(path)
    with soundfile.SoundFile(path) as file:
        starts = np.random.default_rng(0).integers(0, len(expected) - RATE_HZ, 100)
        wrong = [
            s for s in starts if file.seek(s) and not np.array_equal(file.read(999, "float32"), expected[s:][:999])
        ]
    assert wrong


@pytest.mark.parametrize("data_bytes", [0xFFFFFFFF, 0x7FFFF000, 0])
def test_a_wav_from_a_pipe_is_read_to_its_end(tmp_path, data_bytes):
    (tmp_path / "clip.wav").write_bytes(wav_header(data_bytes, RATE_HZ, riff_bytes=0xFFFFFFFF) + pcm(FIVE_S))
    samples = whole(tmp_path / "clip.wav")
    assert len(samples) == len(FIVE_S) and difference(samples, FIVE_S) < 1e-6


def test_a_flac_that_leaves_its_length_open_is_read_to_its_end(tmp_path):
    soundfile.write(tmp_path / "clip.flac", FIVE_S, RATE_HZ)
    expected = whole(tmp_path / "clip.flac")
    (tmp_path / "clip.flac").write_bytes(without_flac_length((tmp_path / "clip.flac").read_bytes()))
    with recording(str(tmp_path / "clip.flac")) as file:
        assert file.n_frames is None
        np.testing.assert_array_equal(file.read(0, 60 * RATE_HZ), expected)
        np.testing.assert_array_equal(file.read(RATE_HZ, 999), expected[RATE_HZ:][:999])


def test_an_mp3_that_does_not_say_its_length_is_read_to_its_end(tmp_path):
    """libsndfile takes its length from the first frame's bit rate, and stops there."""
    soundfile.write(tmp_path / "clip.mp3", FIVE_S, RATE_HZ)
    content = without_mp3_length((tmp_path / "clip.mp3").read_bytes())
    tag = b"ID3\x04\0\0" + bytes([0, 0, 0x20, 0]) + bytes(0x20 << 7)
    for name, before in (("clip.mp3", b""), ("tagged.mp3", tag)):
        (tmp_path / name).write_bytes(before + content)
        assert soundfile.info(tmp_path / name).frames < len(FIVE_S) / 2
        assert len(whole(tmp_path / name)) == pytest.approx(len(FIVE_S), abs=2 * 1152)


def test_without_pyav_the_reject_says_what_to_install(tmp_path, monkeypatch):
    def no_av(name, *args, **kwargs):
        if name == "av":
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    real_import = builtins.__import__
    encode(tmp_path / "clip.m4a", "aac", FIVE_S, RATE_HZ)
    monkeypatch.setattr(builtins, "__import__", no_av)
    monkeypatch.delitem(__import__("sys").modules, "asr.clips.containers", raising=False)
    monkeypatch.delattr("asr.clips.containers", raising=False)
    with pytest.raises(BadAudio) as caught:
        whole(tmp_path / "clip.m4a")
    assert caught.value.reason == "undecodable audio"
    assert caught.value.detail.endswith("pip install '.[formats]'")


@pytest.mark.parametrize("name", ["a b.wav", "línea\nnueva.wav", "🎙️.wav", "-rf", "100%.wav", "a:b?c#d.wav"])
def test_any_name_is_a_name(tmp_path, name):
    soundfile.write(tmp_path / name, FIVE_S, RATE_HZ, format="WAV", subtype="FLOAT")
    np.testing.assert_array_equal(whole(tmp_path / name), FIVE_S)


def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path):
    path = tmp_path / "clip.wav"
    soundfile.write(path, FIVE_S, RATE_HZ)
    with recording(str(path)) as file:
        assert len(file.read(0, 100)) == 100
        with path.open("ab") as more:
            more.write(b"more")
        with pytest.raises(BadAudio) as caught:
            file.read(100, 100)
    assert caught.value.reason == "changed while read"


def test_a_file_that_is_replaced_while_it_is_read_is_read_as_it_was(tmp_path):
    soundfile.write(tmp_path / "clip.wav", FIVE_S, RATE_HZ, subtype="FLOAT")
    soundfile.write(tmp_path / "other.wav", FIVE_S[::-1], RATE_HZ, subtype="FLOAT")
    with recording(str(tmp_path / "clip.wav")) as file:
        os.replace(tmp_path / "other.wav", tmp_path / "clip.wav")
        np.testing.assert_array_equal(file.read(0, len(FIVE_S)), FIVE_S)


@pytest.mark.parametrize("name", ["clip.wav", "clip.ogg", "clip.mp3", "clip.m4a"])
def test_an_object_of_a_store_is_read_like_a_file(tmp_path, store, name):
    from asr import storage

    path = tmp_path / name
    if name.endswith("m4a"):
        encode(path, "aac", FIVE_S, RATE_HZ)
    else:
        write(path, FIVE_S, RATE_HZ)
    storage.put_bytes(path.read_bytes(), f"{store}/{name}")
    with recording(str(path)) as here, recording(f"{store}/{name}") as there:
        assert here.n_frames == there.n_frames
        for start, n in [(0, 1000), (50_000, 50_000), (200_000, 50_000)]:
            np.testing.assert_array_equal(there.read(start, n), here.read(start, n))


def test_an_object_over_one_request_is_read_like_a_file(tmp_path, gs, monkeypatch):
    from asr import storage

    monkeypatch.setattr(storage, "CHUNK_BYTES", 100_000)
    soundfile.write(tmp_path / "clip.wav", FIVE_S, RATE_HZ)
    encode(tmp_path / "clip.m4a", "alac", FIVE_S, RATE_HZ)
    for name in ("clip.wav", "clip.m4a"):
        storage.put_bytes((tmp_path / name).read_bytes(), f"{gs}/{name}")
        np.testing.assert_array_equal(whole(f"{gs}/{name}"), whole(tmp_path / name))


def test_an_object_that_is_not_there_is_missing_audio(store):
    with pytest.raises(BadAudio) as caught:
        whole(f"{store}/absent.wav")
    assert caught.value.reason == "missing audio"
