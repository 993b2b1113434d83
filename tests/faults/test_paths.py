"""What a corpus names is read where it may be, and nowhere else: no way out of its folder, no address, no device."""

import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
import soundfile

from asr import params
from asr.corpora.rejects import read_rejects
from asr.corpora.sieve import Sieve
from asr.features import RATE_HZ
from asr.shards import read_index
from asr.sources import source as layout
from asr.utterances import SPLITS, Rejected, Utterance
from tests.builders import speech_like
from tests.faults.flow import Flow
from tests.faults.hostile import CORPUS, N_GOOD, bare, good_rows, row, up_to_the_features, web, write_table
from tests.faults.table import Seen, note
from tests.sources.layouts import LAYOUTS, clip, jsonl

GROUP = "security"
KEPT = "all other rows; the row is in rejects.parquet"


def rejects_of(flow: Flow, n_rows: int) -> dict[str, Rejected]:
    """The rejected rows by id, after which all good ones are in the shards."""
    index = read_index(flow.data / "features")
    assert sum(map(index.rows, SPLITS)) == N_GOOD
    assert index.rejected == n_rows - N_GOOD
    return {each.id: each for each in read_rejects(flow.data / "features")}


def line(rejected: Rejected, flow: Flow) -> str:
    return f"{rejected.reason}: {rejected.detail}".replace(str(flow.folder), "...")


@pytest.mark.slow
def test_nothing_outside_of_audio_root_is_read(tmp_path: Path, scratch: Path) -> None:
    flow = bare(tmp_path / "project", scratch)
    rows = good_rows(flow)
    secret = speech_like(0.7, seed=99)
    soundfile.write(tmp_path / "private.wav", secret, RATE_HZ)
    (flow.folder / CORPUS / "link.wav").symlink_to(tmp_path / "private.wav")
    (flow.folder / CORPUS / "links").symlink_to(tmp_path)
    (flow.folder / "corpus-2").mkdir()
    soundfile.write(flow.folder / "corpus-2/near.wav", secret, RATE_HZ)
    with web() as (address, asked):
        tricks = {
            "a path that climbs out of data.table.audio_root by ..": "../../private.wav",
            "an absolute path outside of data.table.audio_root": str(tmp_path / "private.wav"),
            "a link in data.table.audio_root that leads out of it": "link.wav",
            "a linked folder in data.table.audio_root that leads out of it": "links/private.wav",
            "a folder whose name begins as data.table.audio_root does": "../corpus-2/near.wav",
            "a file:// address in a table": f"file://{tmp_path}/private.wav",
            "an http:// address in a table": f"{address}/a.wav",
        }
        write_table(flow, [*rows, *(row(name, audio) for name, audio in tricks.items())], audio_root=CORPUS)
        _, prepared, _ = up_to_the_features(flow)
        assert asked == []
    assert "7 rows rejected: 7 outside audio_root" in prepared.said
    rejected = rejects_of(flow, N_GOOD + len(tricks))
    for name in tricks:
        assert rejected[name].reason == "outside audio_root"
        note(Seen(GROUP, name, line(rejected[name], flow), KEPT))


@pytest.mark.slow
def test_a_recording_can_be_neither_a_list_of_others_nor_something_that_never_ends(
    tmp_path: Path, scratch: Path
) -> None:
    """Without audio_root any file of this machine may be named: by design; but one that is a recording."""
    flow = bare(tmp_path / "project", scratch)
    rows = good_rows(flow)
    corpus = flow.folder / CORPUS
    os.mkfifo(corpus / "pipe.wav")
    with web() as (address, asked):
        part = "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10.0,\n{}\n#EXT-X-ENDLIST\n"
        (corpus / "list.wav").write_text(part.format(f"{address}/part.ts"))
        (corpus / "concat.wav").write_text("ffconcat version 1.0\nfile 'good-0.wav'\n")
        (corpus / "stream.wav").write_text(
            "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 40004 RTP/AVP 0\n"
        )
        tricks = {
            "a playlist (HLS) that names an address, as a recording": "list.wav",
            "a playlist (ffconcat) that names another file, as a recording": "concat.wav",
            "the description of a network stream (SDP), as a recording": "stream.wav",
            "a named pipe that nobody writes, as a recording": "pipe.wav",
            "a device without an end (/dev/zero), as a recording": "/dev/zero",
            "a file of the system (/etc/passwd), as a recording": "/etc/passwd",
            "a file:// address without data.table.audio_root": "file:///etc/passwd",
            "an http:// address without data.table.audio_root": f"{address}/a.wav",
        }
        write_table(flow, [*rows, *(row(name, audio) for name, audio in tricks.items())])
        done = up_to_the_features(flow)
        assert asked == []
    rejected = rejects_of(flow, N_GOOD + len(tricks))
    everything = "".join(each.said for each in done) + "".join(each.detail for each in rejected.values())
    assert "root:" not in everything  # what /etc/passwd says
    for name in tricks:
        assert rejected[name].reason in ("undecodable audio", "missing audio", "unknown scheme")
        note(Seen(GROUP, name, line(rejected[name], flow), KEPT))


class Drafted(list[Utterance]):
    """Takes what a sieve lets through."""

    def write(self, rows: list[Utterance]) -> None:
        self.extend(rows)


def sifted(source: str, path: Path) -> tuple[list[Utterance], list[Rejected]]:
    """What prepare makes of a corpus: the rows that it uses, and those that it does not."""
    data = params.Data(source=source, path=str(path), language="it")
    used: Any = Drafted()
    rejected = list(Sieve(data).sift(layout(source).utterances(data, path), used))
    return used, rejected


CLIMB = "../../../private"


def climb_common_voice(root: Path) -> None:
    (name,) = root.glob("it/train.tsv")
    first = name.read_text().splitlines()[1]
    cells = first.split("\t")
    cells[1], cells[2], cells[3] = f"{CLIMB}.wav", "s99", "Altro testo."
    with name.open("a") as file:
        file.write("\t".join(cells) + "\n")


def climb_fleurs(root: Path) -> None:
    cells = ("99", f"../../{CLIMB}.wav", "Altro.", "altro", "a |", "8000", "MALE")
    with (root / "it_it/train.tsv").open("a") as file:
        file.write("\t".join(cells) + "\n")


def climb_librispeech(root: Path) -> None:
    transcript = next(root.rglob("*.trans.txt"))
    with transcript.open("a") as file:
        file.write(f"../{CLIMB} ALTRO TESTO\n")


def climb_ljspeech(root: Path) -> None:
    with (root / "metadata.csv").open("a") as file:
        file.write(f"{CLIMB}|Altro testo.|altro testo\n")


def test_a_layout_that_names_its_files_by_itself_is_not_left(tmp_path: Path) -> None:
    climbs = (climb_common_voice, climb_fleurs, climb_librispeech, climb_ljspeech)
    for climb in climbs:
        source = climb.__name__.removeprefix("climb_")
        root = tmp_path / source / "deep" / "root"
        LAYOUTS[source](root)
        for up in (tmp_path / source, tmp_path / source / "deep", tmp_path):
            for suffix in (".wav", ".flac"):
                clip(up / f"private{suffix}", seed=77)
        climb(root)
        used, rejected = sifted(source, root)
        assert not [each for each in used if "private" in each.audio], source
        (outside,) = [each for each in rejected if each.reason == "outside data.path"]
    note(
        Seen(
            GROUP,
            "a name in a corpus' own list that leads out of data.path",
            f"{outside.reason}: {outside.detail}".replace(str(tmp_path), "..."),
            KEPT,
            mended="Common Voice, FLEURS, LibriSpeech and LJSpeech read any file that the list led to",
        )
    )


def test_no_manifest_has_an_address_fetched(tmp_path: Path) -> None:
    """Those that name files anywhere on this machine, as their tools do."""
    with web() as (address, asked):
        for source in ("nemo", "lhotse", "kaldi"):
            LAYOUTS[source](tmp_path / source)
        jsonl(tmp_path / "nemo/train_more.json", [{"audio_filepath": f"{address}/a.wav", "text": "Altro."}])
        spoken = {"id": "web-0", "recording_id": "web", "text": "Altro.", "start": 0.0, "duration": 0.5}
        recording = {"id": "web", "duration": 0.5}
        for n, kind in enumerate(("url", "file", "command")):
            said = {**spoken, "id": f"web-{kind}", "recording_id": f"web-{n}"}
            source = {"type": kind, "channels": [0], "source": f"{address}/a.wav"}
            jsonl(
                tmp_path / f"lhotse/{kind}_recordings_train.jsonl",
                [{**recording, "id": f"web-{n}", "sources": [source]}],
            )
            jsonl(tmp_path / f"lhotse/{kind}_supervisions_train.jsonl", [said])
        scp = tmp_path / "kaldi/data/train"
        for name, content in (("wav.scp", f"web {address}/a.wav"), ("text", "web Altro."), ("utt2lang", "web it")):
            with (scp / name).open("a") as file:
                file.write(content + "\n")
        for source, n_more in (("nemo", 1), ("lhotse", 3), ("kaldi", 1)):
            used, rejected = sifted(source, tmp_path / source)
            assert len(used) == 6, (source, rejected)
            assert len(rejected) == n_more
        assert asked == []
    note(
        Seen(
            GROUP,
            "an http:// address in a manifest of NeMo, Kaldi or lhotse",
            f"{rejected[0].reason}: {rejected[0].detail.rpartition('/http')[0].rpartition('/')[2]}/http:/...",
            KEPT,
        )
    )


def test_a_row_that_lhotse_would_not_write_does_not_end_the_run(tmp_path: Path) -> None:
    LAYOUTS["lhotse"](tmp_path)
    spoken = {"id": "odd", "recording_id": "r", "text": "Altro.", "start": 0.0, "duration": 0.5}
    source = {"type": "file", "channels": [0], "source": "audio/x.wav"}
    cuts: list[dict[str, Any]] = [
        {"id": "first", "supervisions": [], "recording": {"sources": [source]}},
        {"id": "c1", "supervisions": [spoken], "recording": {"sources": [{"type": "file"}]}},
        {"id": "c2", "supervisions": [spoken], "recording": "../../x"},
        {"id": "c3", "supervisions": 5, "recording": {"sources": [source]}},
        {"id": "c4", "supervisions": [["odd"]], "recording": {"sources": [source]}},
        {"id": "c5", "supervisions": [{**spoken, "language": 5}], "recording": {"sources": [source]}},
    ]
    jsonl(tmp_path / "odd_cuts_train.jsonl", cuts)
    used, rejected = sifted("lhotse", tmp_path)
    assert len(used) == 6
    assert [each.reason for each in rejected] == ["bad row"] * 5
    note(
        Seen(
            GROUP,
            "a lhotse manifest with values of other types",
            f"{rejected[0].reason}: {rejected[0].detail}",
            KEPT,
            mended="ended in a traceback",
        )
    )


def test_a_command_in_wav_scp_is_told_and_not_run(tmp_path: Path) -> None:
    flow = bare(tmp_path / "project")
    LAYOUTS["kaldi"](flow.folder / CORPUS)
    trace = tmp_path / "ran"
    with (flow.folder / CORPUS / "data/train/wav.scp").open("a") as file:
        file.write(f"odd touch {trace} |\n")
    flow.choose({"data": {"source": "kaldi", "path": CORPUS, "language": "it"}})
    done = flow.run_stage("prepare")
    assert done.status == 1
    assert done.errors == done.said.splitlines()
    assert "is a command, and none is run here" in done.line
    assert not trace.exists()
    note(Seen(GROUP, "a command in Kaldi's wav.scp", done.line.replace(str(trace), "ran"), "the corpus as it was"))


def test_an_archive_writes_nothing_outside_of_its_folder(tmp_path: Path) -> None:
    flow = bare(tmp_path / "deep/project")
    LAYOUTS["fleurs"](flow.folder / CORPUS)
    with tarfile.open(flow.folder / CORPUS / "it_it/audio/train.tar.gz", "w:gz") as tar:
        tar.add(clip(tmp_path / "a.wav"), "../../escaped.wav")
    flow.choose({"data": {"source": "fleurs", "path": CORPUS, "language": "it"}})
    done = flow.run_stage("prepare")
    assert done.status == 1
    assert "is not safe to unpack" in done.line
    assert not list(tmp_path.rglob("escaped.wav"))
    note(Seen(GROUP, "an archive with a name that leads out of its folder", done.line, "all that lies outside"))


@pytest.mark.slow
def test_ids_that_are_paths_make_no_files(tmp_path: Path, scratch: Path) -> None:
    """With speakers that are, too; a name never becomes a file's."""
    flow = bare(tmp_path / "deep/project", scratch)
    names = ("../../escaped", "/etc/escaped", "a/../../../escaped", "con\nescaped", "nul\0escaped", "e" * 100_000)
    rows = good_rows(flow, N_GOOD)
    rows = [{**each, "id": name, "speaker": name} for name, each in zip(names, rows, strict=False)] + rows[len(names) :]
    (flow.folder / CORPUS / "t.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    flow.choose({"data": {"source": "table", "table": {"path": f"{CORPUS}/t.jsonl"}}})
    before = {path for path in tmp_path.rglob("*") if flow.folder not in (path, *path.parents)}
    done = up_to_the_features(flow)
    assert {path for path in tmp_path.rglob("*") if flow.folder not in (path, *path.parents)} == before
    assert not [path for path in flow.folder.rglob("*") if "escaped" in path.name]
    assert not Path("/etc/escaped").exists()
    index = read_index(flow.data / "features")
    assert sum(map(index.rows, SPLITS)) == N_GOOD
    seen = done[1].said.splitlines()[0]
    note(Seen(GROUP, "ids and speakers that are paths, have a zero byte or 100,000 letters", seen, "all rows"))
