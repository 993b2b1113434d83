"""A path or URI -> the recording, opened to read pieces of it, or the reason why not.

libsndfile decodes WAV, FLAC, Ogg, Opus and MP3; what it refuses goes to PyAV where that is installed.
"""

import errno
import io
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import IO

import soundfile

from asr import storage
from asr.clips.decoders import Decoder, Forward, Samples, Seeking, Sequential, Vorbis
from asr.errors import UserError

LOWEST_HZ, HIGHEST_HZ = 4_000, 400_000
MOST_CHANNELS = 32
UNKNOWN_FRAMES = (1 << 36) - 1  # FLAC's largest count; no recording is as long
REMEDY = "more formats: pip install '.[formats]'"

PIPED_BYTES = 0x7FFF_F000  # from here on, the size of a WAV's data is what a pipe leaves (sox; FFmpeg: 0xFFFFFFFF)

_CUT_WAV = re.compile(r"^data : (\d+) \(should be (\d+)\)$", re.MULTILINE)
_REASONS = {errno.ESTALE: "changed while read", errno.EBADMSG: "undecodable audio"}
_OF_THE_MACHINE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}  # the recording is not to blame
_SAYS_FRAMES = re.compile(rb"(Xing|Info)\0\0\0[\x01\x03\x05\x07\x09\x0b\x0d\x0f]")  # with the flag for the count


class BadAudio(Exception):
    """Audio that can't be used: `reason` is one of a few phrases that can be counted, `detail` is about this clip."""

    def __init__(self, reason: str, detail: str = "") -> None:
        detail = " ".join(detail.split()).encode(errors="backslashreplace").decode()
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


class Recording:
    """An opened recording: `rate_hz`, and `n_frames` where its header says them, which may be a lie."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._status = file, _status(file)
        self._opened = ExitStack()
        self._is_broken = False  # a decoder that has raised may go on wrongly
        self._open()
        self.rate_hz, self.n_frames = self._decoder.rate_hz, self._decoder.n_frames

    def read(self, start: int, n: int) -> Samples:
        """At most `n` samples, mono, from the `start`-th of the recording's own rate on. Raises `BadAudio`."""
        with _undecodable():
            if self._is_broken:
                self._open()
            self._is_broken = True
            samples = self._decoder.read(start, n)
            self._is_broken = False
        if _status(self._file) != self._status:
            raise BadAudio("changed while read", "its size or time of change is another than when it was opened")
        return samples

    def close(self) -> None:
        self._opened.close()

    def _open(self) -> None:
        self._opened.close()
        self._file.seek(0)
        with ExitStack() as opened:
            self._decoder = _decoder(self._file, opened)
            self._opened = opened.pop_all()


@contextmanager
def recording(path: str, open_read: Callable[[str], IO[bytes]] = storage.open_read) -> Iterator[Recording]:
    """Opens a file, an object of a store, or what `open_read` takes `path` for.

    Raises `BadAudio`; troubles of the network or the machine as they come.
    """
    with _file(path, open_read) as file:
        if _size_bytes(file) == 0:
            raise BadAudio("empty audio", f"{path} has no bytes")
        with _undecodable():
            opened = Recording(file)
        with closing(opened):
            yield opened


@contextmanager
def _file(path: str, open_read: Callable[[str], IO[bytes]]) -> Iterator[IO[bytes]]:
    """A regular file of this machine, unbuffered; an object of a store or a cell, read whole. Raises `BadAudio`."""
    with ExitStack() as opened:
        try:
            # Looked at before it is opened, because opening a pipe waits for its writer.
            if not storage.is_remote(path) and os.path.exists(path) and not os.path.isfile(path):
                raise BadAudio("missing audio", f"{path}: not a file")
            file = opened.enter_context(open_read(path))
        except OSError as error:
            if error.errno in _OF_THE_MACHINE:
                raise
            reason = _REASONS.get(error.errno or 0, "missing audio")
            raise BadAudio(reason, f"{path}: {error.strerror or error}") from None
        except UserError:  # the store is at fault, not this recording
            raise
        except ValueError as error:  # no file's name: it has a zero byte, or half of a surrogate pair
            raise BadAudio("missing audio", f"{path!r}: {error}") from None
        # libsndfile moves in the file itself, behind the back of a buffer.
        yield getattr(file, "raw", file)


def _decoder(file: IO[bytes], opened: ExitStack) -> Decoder:
    """Of either library, as long as it is in `opened`. Raises `BadAudio` or either's errors."""
    try:
        sound = opened.enter_context(Sequential(file if _in_memory(file) else file.fileno(), closefd=False))
    except soundfile.SoundFileError as error:
        refusal = _said(error)
    else:
        if not (refusal := _guesses_its_length(sound, file)):
            _check(sound.samplerate, sound.channels)
            n_frames = _promised_frames(sound) if sound.frames < UNKNOWN_FRAMES else None
            return Forward(Vorbis(sound, n_frames)) if sound.subtype == "VORBIS" else Seeking(sound, n_frames)
    try:
        from asr.clips import containers
    except ImportError:
        raise BadAudio("undecodable audio", f"{refusal} {REMEDY}") from None
    decoder = opened.enter_context(containers.opened(file))
    _check(decoder.rate_hz, decoder.n_channels)
    return decoder


def _check(rate_hz: int, n_channels: int) -> None:
    """Raises `BadAudio` for what no microphone has, so that no memory is asked for it."""
    if not LOWEST_HZ <= rate_hz <= HIGHEST_HZ:
        raise BadAudio("undecodable audio", f"{rate_hz} Hz is outside {LOWEST_HZ} to {HIGHEST_HZ}")
    if n_channels > MOST_CHANNELS:
        raise BadAudio("undecodable audio", f"{n_channels} channels are over {MOST_CHANNELS}")


def _promised_frames(sound: Sequential) -> int:
    """What the header says. Of a WAV that is cut libsndfile says what is left, and the rest in its log alone."""
    if sound.format in ("WAV", "WAVEX") and (cut := _CUT_WAV.search(sound.extra_info)):
        promised, left = map(int, cut.groups())
        if left and promised < PIPED_BYTES:
            return sound.frames * promised // left
    return sound.frames


def _guesses_its_length(sound: Sequential, file: IO[bytes]) -> str:
    """Why libsndfile reads less than there is, which it does without an error; empty if it doesn't."""
    if sound.format == "MP3" and not _SAYS_FRAMES.search(_first_mp3_frame(file)):
        return "An MP3 that doesn't say its length."
    if sound.frames == 0 and _size_bytes(file) > 1000:
        return "A header that says there are no samples, before what may be some."
    return ""


def _first_mp3_frame(file: IO[bytes]) -> bytes:
    """What follows the ID3 tag, whose size stands in the low 7 bits of four bytes (id3.org, ID3v2.4 structure, 3.1)."""
    position = file.tell()
    file.seek(0)
    head = file.read(10)
    skipped = 0
    if head.startswith(b"ID3"):
        skipped = 10 + sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    file.seek(skipped)
    frame = file.read(2048)
    file.seek(position)
    return frame


def _in_memory(file: IO[bytes]) -> bool:
    return isinstance(file, io.BytesIO)


def _size_bytes(file: IO[bytes]) -> int:
    return len(file.getbuffer()) if isinstance(file, io.BytesIO) else os.fstat(file.fileno()).st_size


def _status(file: IO[bytes]) -> tuple[int, int]:
    """Size and time of change of a file; what is in memory does not change."""
    if isinstance(file, io.BytesIO):
        return 0, 0
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


@contextmanager
def _undecodable() -> Iterator[None]:
    """What a decoder raises is about the recording, and of any kind: PyAV's errors alone have twenty bases."""
    try:
        yield
    except BadAudio:
        raise
    except Exception as error:
        raise BadAudio("undecodable audio", _said(error)) from None


def _said(error: Exception) -> str:
    """Without the number of the opened file, which is another in every run."""
    said = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
    return said or type(error).__name__
