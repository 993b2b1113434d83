"""What somebody hostile would hand in: a project whose corpus he wrote, and an address that nothing should ask."""

import csv
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow.parquet as pq
import soundfile

from asr.features import RATE_HZ
from tests.builders import speech_like
from tests.faults.flow import ROOT, Done, Flow

SPLIT_OF = ("train", "train", "validation", "test")
N_GOOD = 8
COLUMNS = ("id", "audio", "text", "split", "language", "speaker")
CORPUS = "corpus"  # the folder of the table and its audio, in the project's


def bare(folder: Path, base: Path | None = None) -> Flow:
    """A project in which no stage has run, but for a base that stands there as fetch would leave it."""
    (folder / "data").mkdir(parents=True)
    for name in ("asr", "pipelines", "stages", "dvc.yaml"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "params.yaml", folder)
    if base:
        (folder / "data/base").symlink_to(base)
    return Flow(folder)


def good_rows(flow: Flow, n: int = N_GOOD) -> list[dict[str, str]]:
    """Rows of a table whose recordings lie in the project's corpus."""
    (flow.folder / CORPUS).mkdir(exist_ok=True)
    for number in range(n):
        soundfile.write(flow.folder / CORPUS / f"good-{number}.wav", speech_like(0.6, seed=number), RATE_HZ)
    return [row(f"good-{n}", f"good-{n}.wav", f"Un texto {n}.", SPLIT_OF[n % 4]) for n in range(n)]


def row(name: str, audio: str, text: str = "Un texto.", split: str = "train", **cells: str) -> dict[str, str]:
    return {"id": name, "audio": audio, "text": text, "split": split, "language": "es", **cells}


def write_table(flow: Flow, rows: Sequence[Mapping[str, str]], audio_root: str | None = None) -> None:
    """As the project's corpus."""
    (flow.folder / CORPUS).mkdir(exist_ok=True)
    with (flow.folder / CORPUS / "t.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)
    table = {"path": f"{CORPUS}/t.csv", "audio_root": audio_root}
    flow.choose({"data": {"source": "table", "language": "es", "table": table}})


def up_to_the_features(flow: Flow, **environment: str) -> list[Done]:
    """The stages from listing to preprocess, but for fetch, each of which must end well."""
    done = []
    for stage in ("listing", "prepare", "preprocess"):
        done.append(flow.run_stage(stage, **environment))
        assert done[-1].status == 0, done[-1].said
    return done


def everything_in(folder: Path) -> str:
    """All texts of a folder's files, those of Parquet unpacked, but for the corpus itself and the params."""
    texts = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or CORPUS in path.parts or path.name == "params.yaml" or ".git" in path.parts:
            continue
        texts.append(str(pq.read_table(path).to_pylist()) if path.suffix == ".parquet" else path.read_text("latin-1"))
    return "".join(texts)


@contextmanager
def web() -> Iterator[tuple[str, list[str]]]:
    """The address of a server on this machine, and the paths that it is asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
