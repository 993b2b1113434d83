"""A page for this machine: speak or give a file, and see what the checkpoint hears before and after fine-tuning.

`python -m asr.demo` (`make demo`) opens it on http://127.0.0.1:7860, with the words coloured by the model's confidence.
"""

import argparse
import html
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asr.errors import UserError
from asr.languages import NAMES
from asr.transcription.transcript import Transcript, Word

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

DETECT = "detect"
TITLE = "What the model hears"
FONTS = ["system-ui", "sans-serif"]  # of the machine: Gradio's own would be fetched
SURE, UNSURE = 0.8, 0.5  # confidences
CSS = """
.heard { font-size: 1.25rem; line-height: 2; min-height: 4rem; overflow-wrap: anywhere }
.heard span { padding: .15em .1em; border-radius: .25em; white-space: pre-wrap }
.heard .unsure { background: #fde68a; color: #1f2937 }
.heard .doubtful { background: #fca5a5; color: #1f2937 }
.heard p { font-size: .875rem; opacity: .75; margin: .5rem 0 0 }
.key span { padding: .1em .4em; border-radius: .25em; color: #1f2937 }
"""
KEY = (
    '<p class="key">Confidence of a word: above '
    f'{SURE:g} plain, <span style="background:#fde68a">above {UNSURE:g}</span>, '
    '<span style="background:#fca5a5">below</span>. Hold the pointer over a word for its confidence and times.</p>'
)


def shown(heard: Transcript, seconds: float) -> str:
    """The words as HTML, with how long they took."""
    lines = ["".join(map(_word, segment.words)) for segment in heard.segments] or ["<em>no speech</em>"]
    rate = heard.duration_s / seconds
    language = NAMES.get(heard.language or "", "no language").title()
    told = f"{language} · {heard.duration_s:.1f} s of sound in {seconds:.2f} s, {rate:.1f} times real time"
    return f'<div class="heard">{"<br>".join(lines)}<p>{html.escape(told)}</p></div>'


def _word(word: Word) -> str:
    kind = "sure" if word.confidence >= SURE else "unsure" if word.confidence >= UNSURE else "doubtful"
    about = f"{word.confidence:.0%}, {word.start_s:.2f} to {word.end_s:.2f} s"
    return f'<span class="{kind}" title="{about}">{html.escape(word.text)}</span>'


class Heard:
    """A checkpoint of the page."""

    def __init__(self, folder: Path, window_s: int | None = None) -> None:
        """Raises `UserError` for what is no checkpoint."""
        from asr.transcription import engines

        self._engine = engines.load(folder, "torch", window_s=window_s)
        self.languages = self._engine.languages

    def html(self, path: str, language: str) -> str:
        from asr.transcription.recordings import Failed, Transcriber

        began_s = time.perf_counter()
        transcriber = Transcriber(self._engine, None if language == DETECT else language)
        ((_, outcome),) = transcriber.transcripts([path])
        if isinstance(outcome, Failed):
            return f'<div class="heard">{html.escape(f"{outcome.reason}: {outcome.detail}")}</div>'
        return shown(outcome, time.perf_counter() - began_s)


def page(heard: dict[str, Heard]) -> Any:
    """Gradio's app with a column for each checkpoint."""
    import gradio as gr

    languages = list(heard.values())[-1].languages

    def hear(path: str | None, language: str) -> Sequence[str]:
        if path is None:
            return [""] * len(heard)
        return [one.html(path, language) for one in heard.values()]

    named = sorted((NAMES.get(code, code).title(), code) for code in languages)
    with gr.Blocks(title=TITLE, analytics_enabled=False) as app:
        gr.Markdown(f"# {TITLE}")
        with gr.Row():
            audio = gr.Audio(
                sources=["upload", "microphone"],
                type="filepath",
                label="Speech",
                buttons=["download"],
                elem_id="speech",
            )
            with gr.Column():
                choices = [("Detected", DETECT), *named] if len(named) > 1 else named
                language = gr.Dropdown(choices, value=choices[0][1], label="Language", elem_id="language")
                button = gr.Button("Transcribe", variant="primary", elem_id="transcribe")
                gr.HTML(KEY)
        with gr.Row():
            columns: list[Any] = []
            for name in heard:
                with gr.Column():
                    gr.Markdown(f"### {name}")
                    columns.append(gr.HTML("", elem_id=f"heard-{len(columns)}"))
        for event in (button.click, audio.upload, audio.stop_recording):
            event(hear, [audio, language], columns)
    return app


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m asr.demo", description="A page that shows what a checkpoint hears")
    parser.add_argument("--model", type=Path, default=Path("data/model"), help="the tuned checkpoint")
    parser.add_argument("--base", type=Path, default=Path("data/base"), help="what it was tuned from, if it is there")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 for other machines; default this one alone")
    parser.add_argument("--port", type=int, default=int(os.environ.get("DEMO_PORT", "7860")), help="default 7860")
    options = parser.parse_args()
    try:
        import gradio as gr
    except ImportError:
        sys.exit("error: the page needs an extra: pip install '.[demo]'")
    try:
        heard = {}
        if options.base.exists():
            heard["Before"] = Heard(options.base, 30)  # as Whisper was made
        heard["After" if heard else "Heard"] = Heard(options.model)
    except UserError as error:
        sys.exit(f"error: {error}")
    print(f"the page: http://{options.host}:{options.port} (Ctrl-C ends it)", flush=True)
    try:
        page(heard).launch(
            server_name=options.host,
            server_port=options.port,
            share=False,
            quiet=True,
            theme=gr.themes.Default(font=FONTS, font_mono=["ui-monospace", "monospace"]),
            css=CSS,
            footer_links=[],
        )
    except OSError as error:
        sys.exit(f"error: port {options.port}: {error}; choose another with --port or DEMO_PORT")


if __name__ == "__main__":
    main()
