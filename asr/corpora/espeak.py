"""A sentence and a voice -> its waveform, spoken by eSpeak NG (the `espeakng-loader` package) in a process of its own.

`Speaker` starts `python -m asr.corpora.espeak`, which loads the library and forks for each sentence. So each sentence
meets a library as fresh as the first (eSpeak NG's own state, such as the flutter of its voices, runs on from one
sentence into the next), what it leaks is gone with the fork, and a crash costs that sentence alone. Only
the standard library is imported, so that there is little to fork.

Sources: `espeak-ng/speak_lib.h`, version 1.52, for the functions and constants that `_load` and `_synthesise` use.
"""

import ctypes
import json
import os
import struct
import subprocess
import sys
from types import TracebackType

from asr.errors import UserError

RATE_HZ = 22_050  # of all voices

_HEADER = struct.Struct("<i")  # before each answer: its size in bytes, or:
_FAILED = -1

_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_POS_CHARACTER = 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Speaker:
    """A context manager around one process that speaks; one thread at a time may use it.

    Raises `UserError` on entering if eSpeak NG cannot be loaded.
    """

    def __enter__(self) -> "Speaker":
        self.process = subprocess.Popen(
            [sys.executable, "-m", "asr.corpora.espeak"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            rate_hz = self._answer()
        except OSError:
            self.process.kill()
            last_words = self.process.communicate()[1].decode(errors="replace").strip() or "no message"
            raise UserError(
                f"eSpeak NG does not load ({last_words.splitlines()[-1]}); install it again with "
                "`pip install --force-reinstall espeakng-loader`, or take another data.source"
            ) from None
        assert struct.unpack("<i", rate_hz) == (RATE_HZ,), rate_hz
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.communicate()  # closes its input, which ends it

    def speak(self, text: str, voice: str, rate_wpm: int = 160, pitch: int = 50, pitch_range: int = 50) -> bytes:
        """`text` as little-endian int16 samples, mono at `RATE_HZ`; the same bytes whatever was spoken before.

        `voice` is a language and a variant of eSpeak NG ("es+f2"), `rate_wpm` words a minute, `pitch` and
        `pitch_range` 0 to 99. Raises `OSError` if there is no such voice or if the library crashes.
        """
        assert self.process.stdin
        request = {"text": text, "voice": voice, "rate_wpm": rate_wpm, "pitch": pitch, "pitch_range": pitch_range}
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> bytes:
        assert self.process.stdout
        header = self.process.stdout.read(_HEADER.size)
        if len(header) < _HEADER.size:
            raise OSError("the process of eSpeak NG has ended")
        (n_bytes,) = _HEADER.unpack(header)
        if n_bytes == _FAILED:
            raise OSError("eSpeak NG failed on this sentence and voice")
        return self.process.stdout.read(n_bytes)


def serve() -> None:
    """The process: a JSON line on stdin -> a header and little-endian int16 samples on stdout, until stdin ends."""
    library = _load()
    _send(struct.pack("<i", RATE_HZ))
    for line in sys.stdin.buffer:
        child = os.fork()
        if not child:
            status = 1
            try:
                _send(_synthesise(library, **json.loads(line)))
                status = 0
            finally:
                os._exit(status)  # whatever happens, the fork does not go on to serve
        if os.waitpid(child, 0)[1]:
            sys.stdout.buffer.write(_HEADER.pack(_FAILED))
            sys.stdout.buffer.flush()


def _load() -> ctypes.CDLL:
    import espeakng_loader  # here, so that a missing package is this process' last word

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    data = os.fsencode(espeakng_loader.get_data_path())
    rate_hz = library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, data, _INITIALIZE_DONT_EXIT)
    if rate_hz != RATE_HZ:
        raise RuntimeError(f"espeak_Initialize returned {rate_hz}")
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # else the time of day decides the breath of some voices
    return library


def _synthesise(library: ctypes.CDLL, text: str, voice: str, rate_wpm: int, pitch: int, pitch_range: int) -> bytes:
    samples = bytearray()

    @_Callback
    def collect(wave: "ctypes._Pointer[ctypes.c_short]", n_samples: int, events: int | None) -> int:
        if wave and n_samples > 0:
            samples.extend(ctypes.string_at(wave, n_samples * ctypes.sizeof(ctypes.c_short)))
        return 0

    library.espeak_SetSynthCallback(collect)
    if library.espeak_SetVoiceByName(voice.encode()):
        raise ValueError(f"{voice!r} is not a voice")
    for parameter, value in ((_RATE, rate_wpm), (_PITCH, pitch), (_RANGE, pitch_range)):
        library.espeak_SetParameter(parameter, value, 0)
    encoded = text.encode()
    if library.espeak_Synth(encoded, len(encoded) + 1, 0, _POS_CHARACTER, 0, _CHARS_UTF8, None, None):
        raise ValueError(f"{text!r} cannot be spoken")
    return bytes(samples)


def _send(content: bytes) -> None:
    sys.stdout.buffer.write(_HEADER.pack(len(content)) + content)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    serve()
