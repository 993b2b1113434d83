"""Recordings -> what is said in them: text, subtitles or JSON with times and confidences, by a fine-tuned checkpoint.

  python -m asr.transcribe talk.mp4                        its text, to the terminal
  python -m asr.transcribe talk.mp4 --format srt           subtitles
  python -m asr.transcribe recordings/ --out transcripts/  a folder, which a second call goes on with
  arecord -f S16_LE -r 16000 | python -m asr.transcribe -  what comes through a pipe, when it ends

Any format and length: speech is found first, and heard in windows as long as the checkpoint was trained on. Nothing is
said of silence. A recording that cannot be read is named with the reason, the others go on, and the exit status is 1.
"""

import argparse
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from asr.errors import UserError, ending_in_a_line
from asr.transcription.engines import check_family, check_settings
from asr.transcription.formats import FORMATS
from asr.transcription.identity import identity
from asr.transcription.outputs import Folder, Input, find, versions
from asr.transcription.pace import Pace
from asr.transcription.transcript import remarks

STDIN = "-"
ENGINES = ("torch", "ctranslate2")


def main() -> None:
    options = _options()
    with ending_in_a_line("finished transcripts are kept"), ExitStack() as opened:
        n_failed = _run(options, opened)
    sys.exit(1 if n_failed else 0)


def _options() -> argparse.Namespace:
    description, *_ = (__doc__ or "").partition("\n\nAny")
    parser = argparse.ArgumentParser(
        prog="python -m asr.transcribe", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("audio", nargs="+", help="files, folders, gs:// or s3:// URIs; - is standard input")
    parser.add_argument("--model", type=Path, default=Path("data/model"), help="a checkpoint (default data/model)")
    parser.add_argument("--language", help="its code, as sw; default: the checkpoint's own, else detected in each file")
    parser.add_argument("--out", type=Path, help="folder of the transcripts; default, of one file: the terminal")
    parser.add_argument("--format", nargs="+", choices=sorted(FORMATS), help="default: txt; all, with --out")
    parser.add_argument("--engine", choices=ENGINES, default="torch", help="default torch; ctranslate2 is an extra")
    parser.add_argument("--window-s", type=int, help="seconds heard at once; default as trained, 30: Whisper's")
    parser.add_argument("--precision", choices=("auto", "bf16", "float32", "int8"), default="auto")
    parser.add_argument("--overwrite", action="store_true", help="make all transcripts in --out anew")
    options = parser.parse_args()
    return options


def _run(options: argparse.Namespace, opened: ExitStack) -> int:
    """The number of recordings that could not be heard."""
    inputs = find([place for place in options.audio if place != STDIN])
    if STDIN in options.audio:
        inputs.append(Input(_spooled(opened), "stdin", told="stdin"))
    if options.out is None and (len(inputs) > 1 or len(options.format or []) > 1):
        raise UserError(f"{len(inputs)} recordings: name a folder for their transcripts with --out")
    check_settings(options.engine, options.precision, options.window_s)
    folder, waiting = None, inputs
    if options.out is not None:
        check_family(options.model, options.engine)
        formats = options.format or [*FORMATS]
        folder = Folder(options.out, formats, _settings(options), overwrite=options.overwrite)
        known = versions(inputs)
        waiting = [entry for entry in inputs if not folder.has(entry, known[entry.audio])]
    if len(waiting) < len(inputs):
        print(f"{len(inputs) - len(waiting)} of {len(inputs)} recordings are done from an earlier run", file=sys.stderr)
    return _transcribe(options, waiting, folder) if waiting else 0


def _transcribe(options: argparse.Namespace, inputs: list[Input], folder: Folder | None) -> int:
    """The number of recordings that could not be heard."""
    from asr.transcription import engines  # with torch, which takes seconds
    from asr.transcription.recordings import Failed, Transcriber

    chosen = engines.load(options.model, options.engine, options.precision, options.window_s)
    transcriber = Transcriber(chosen, options.language)
    known = versions(inputs)
    n_failed = 0
    with Pace(len(inputs)) as pace:
        found = transcriber.transcripts([entry.audio for entry in inputs], told=pace.heard)
        for entry, (_, outcome) in zip(inputs, found, strict=True):
            if isinstance(outcome, Failed):
                n_failed += 1
                pace.say(f"{entry.told}: not transcribed, {outcome.reason}: {outcome.detail}")
            elif folder is None:
                pace.write(FORMATS[(options.format or ["txt"])[0]](outcome, {"audio": entry.told}))
            else:
                folder.write(entry, known[entry.audio], outcome)
            if not isinstance(outcome, Failed):
                for remark in remarks(outcome):
                    pace.say(f"{entry.told}: {remark}")
            pace.ended()
    if n_failed and len(inputs) > 1:
        print(f"{n_failed} of {len(inputs)} recordings were not transcribed; see above", file=sys.stderr)
    return n_failed


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """What decides the words of a transcript."""
    return {
        "model": identity(str(options.model)),
        "engine": options.engine,
        "precision": options.precision,
        "window_s": "as trained" if options.window_s is None else options.window_s,
        "language": options.language or "the checkpoint's, or detected",
    }


def _spooled(opened: ExitStack) -> str:
    """What comes through standard input, in a file: no decoder reads all formats without going back."""
    path = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="transcribe-"))) / "stdin"
    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return str(path)


if __name__ == "__main__":
    main()
