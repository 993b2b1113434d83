"""Passwords and tokens, in addresses or in the environment, stay out of all that is printed, kept or sent."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from asr.corpora.rejects import read_rejects
from asr.experiments.address import without_credentials
from asr.experiments.run import Run
from asr.secrets import COVER, VARIABLES, printable, without_secrets
from tests.faults.flow import ROOT
from tests.faults.hostile import bare, everything_in, good_rows, row, up_to_the_features, write_table
from tests.faults.table import Seen, note

GROUP = "security"
SECRET = "hunter2-and-more"
SIGNED = {
    "user:password@": f"https://me:{SECRET}@host.invalid/a.wav",
    "?token=": f"https://host.invalid/a.wav?token={SECRET}",
    "X-Amz-Signature": f"https://b.s3.invalid/a.wav?X-Amz-Date=1&X-Amz-Signature={SECRET}",
    "AWSAccessKeyId": f"https://b.s3.invalid/a.wav?AWSAccessKeyId={SECRET}&Expires=1",
    "X-Goog-Signature": f"https://storage.invalid/b/a.wav?X-Goog-Signature={SECRET}#t",
    "sig (Azure)": f"https://a.blob.invalid/c/a.wav?sv=1&sig={SECRET}",
}


@pytest.mark.parametrize("address", SIGNED.values(), ids=SIGNED.keys())
def test_a_secret_in_an_address_is_covered_and_the_rest_stays(address: str) -> None:
    assert without_secrets(f"read {address} again") == f"read {address} again".replace("me:", "").replace(SECRET, COVER)
    assert without_secrets(without_secrets(address)) == without_secrets(address)


@pytest.mark.parametrize(
    "text",
    ["gs://bucket/a@b.wav", "clips/a?b=1&key=2.wav", "hf://datasets/me/speech@0a1b/x.parquet", "at 10:30 me@host", ""],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert without_secrets(text) == text


def test_the_secrets_of_the_environment_are_covered_wherever_they_turn_up(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, f"{name}-{SECRET}")
        assert without_secrets(f"refused: {name}-{SECRET}!") == f"refused: {COVER}!"
    monkeypatch.setenv("HF_TOKEN", "x")  # no token is as short, and many a word has it
    assert without_secrets("text") == "text"


def test_what_a_terminal_obeys_is_printed_as_an_escape() -> None:
    assert printable("\x1b[2J\x1b]0;owned\x07 \x9b1A \r \u202egnp.exe") == (
        r"\x1b[2J\x1b]0;owned\x07 \x9b1A \r \u202egnp.exe"
    )
    assert printable("हिन्दी क्\u200dष, עברית, 日本\u3000語\n\ttab") == "हिन्दी क्\u200dष, עברית, 日本\u3000語\n\ttab"


@pytest.mark.parametrize(
    ("choices", "name"),
    [
        ({"data": {"source": "table", "table": {"path": SIGNED["?token="]}}}, "data.table.path"),
        ({"model": {"checkpoint": SIGNED["user:password@"]}}, "model.checkpoint"),
    ],
    ids=["table", "checkpoint"],
)
def test_a_secret_in_the_params_is_refused_by_name(tmp_path: Path, choices: dict[str, Any], name: str) -> None:
    flow = bare(tmp_path / "project")
    flow.choose(choices)
    done = flow.run_stage("listing")
    assert done.status == 1
    assert done.errors == done.said.splitlines()
    assert done.line.startswith(f"error: {name}: it holds a password or token")
    assert SECRET not in done.said + everything_in(flow.data)
    mended = "the line had the value"
    note(Seen(GROUP, f"a password or token in {name}", done.line, "all that was made before", mended=mended))


@pytest.mark.slow
def test_a_secret_in_the_address_for_the_features_is_refused_by_name(tmp_path: Path, scratch: Path) -> None:
    flow = bare(tmp_path / "project", scratch)
    write_table(flow, good_rows(flow))
    for stage in ("listing", "prepare"):
        assert flow.run_stage(stage).status == 0
    done = flow.run_stage("preprocess", FEATURES_ROOT=f"s3://me:{SECRET}@bucket/features")
    assert done.status == 1
    assert done.errors == done.said.splitlines()
    assert SECRET not in done.said + everything_in(flow.data)
    mended = "the line had the value"
    note(Seen(GROUP, "a password in FEATURES_ROOT", done.line, "all that was made before", mended=mended))


def test_a_row_with_a_secret_is_rejected_and_the_secret_kept_nowhere(tmp_path: Path) -> None:
    flow = bare(tmp_path / "project")
    rows = [*good_rows(flow), *(row("", address) for address in SIGNED.values())]
    write_table(flow, [*rows, row(f"s3://me:{SECRET}@bucket/a.wav", "good-0.wav")])
    said = ""
    for stage in ("listing", "prepare"):
        done = flow.run_stage(stage)
        assert done.status == 0, done.said
        said += done.said
    rejected = read_rejects(flow.data / "manifest")
    assert len(rejected) == len(SIGNED) + 1
    assert {each.reason for each in rejected} == {"unknown scheme", "secret in id"}
    assert SECRET not in said + everything_in(flow.data)
    mended = "the whole address was kept in rejects.parquet"
    seen = f"{rejected[0].reason}: {rejected[0].detail}"
    note(Seen(GROUP, "a signed address, or one with a password, in a table", seen, "all other rows", mended=mended))


def test_a_store_that_refuses_is_told_without_the_password_in_its_address(tmp_path: Path) -> None:
    flow = bare(tmp_path / "project")
    write_table(flow, [*good_rows(flow), row("plain", f"s3://me:{SECRET}@bucket/b.wav")])
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": SECRET}
    done = flow.run_stage("prepare", AWS_MAX_ATTEMPTS="1", **nowhere)
    assert done.status == 1
    assert done.errors == done.said.splitlines()
    assert SECRET not in done.said + everything_in(flow.data)


def test_a_run_keeps_no_password_of_its_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    """Neither that of the address, nor those of the environment, nor what an error quotes."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:{SECRET}@127.0.0.1:9/?token={SECRET}")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
    monkeypatch.setenv("HF_TOKEN", f"hf_{SECRET}")
    journal = tmp_path / "journal"

    class Refused(Exception):
        pass

    def fails() -> None:
        with Run("train", journal=journal) as run:
            (tmp_path / "run.json").write_text(json.dumps(run.to_json()))
            raise Refused(f"401 for {SIGNED['user:password@']} with Bearer hf_{SECRET}")

    with pytest.raises(Refused):
        fails()
    said = capfd.readouterr()
    (line,) = said.err.splitlines()
    assert SECRET not in said.out + said.err + everything_in(tmp_path)
    assert "401 for https://***@host.invalid/a.wav with Bearer ***" in everything_in(journal)
    mended = "an error that quoted an address with a password went to the journal and MLflow as it was"
    seen = line.replace(str(tmp_path), "...")
    note(Seen(GROUP, "a password in MLFLOW_TRACKING_URI, a token in an error", seen, "the run", mended=mended))


def test_the_pages_of_mlflow_get_the_database_without_showing_its_password(tmp_path: Path) -> None:
    """What a process is started with is in every user's list of processes."""
    code = (
        "import os, sys; from asr import tracking\n"
        "def started(path, words): print(' '.join(words)); print(os.environ['MLFLOW_BACKEND_STORE_URI'])\n"
        "os.execv = started; sys.argv = ['tracking', 'ui']; tracking.main()"
    )
    uri = f"postgresql://me:{SECRET}@127.0.0.1:9/runs"
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    _, words, given = done.stdout.splitlines()
    assert SECRET not in words
    assert "--host 127.0.0.1" in words
    assert given == uri
    mended = "the address stood among its arguments, which every user of the machine can list"
    note(Seen(GROUP, "a password in the address of MLflow's database (`make ui`)", words, "it", mended=mended))


def test_an_address_has_no_secret_left() -> None:
    assert (
        without_credentials(f"https://me:{SECRET}@host:5000/x?token={SECRET}") == f"https://host:5000/x?token={COVER}"
    )


@pytest.mark.slow
def test_rows_of_a_hostile_corpus_obey_no_terminal(tmp_path: Path, scratch: Path) -> None:
    """Ids, speakers, texts and names of files that would clear the screen, or forge a line of ours."""
    flow = bare(tmp_path / "project", scratch)
    evil = "\x1b[2J\x1b]0;owned\x07\nerror: all is lost\r"
    rows = [{**each, "speaker": evil, "text": f"{evil} Un texto {n}."} for n, each in enumerate(good_rows(flow))]
    write_table(flow, [*rows, row(evil, "absent.wav"), row("b", f"{evil}.wav"), row("c", "good-0.wav", language=evil)])
    said = "".join(each.said for each in up_to_the_features(flow))
    assert not {"\x1b", "\x07", "\r"} & set(said)
    assert "error: all is lost" not in said.splitlines()
    only = bare(tmp_path / "only")
    write_table(only, [row(evil, f"{evil}.wav")])
    done = only.run_stage("prepare")
    assert done.status == 1
    assert done.errors == done.said.splitlines() == [done.line]
    assert not {"\x1b", "\x07", "\r"} & set(done.said)
    mended = "the line had the escapes as they were, and was broken in two where the name was"
    seen = done.line.replace(str(tmp_path), "...")
    note(Seen(GROUP, "terminal escapes and forged lines in a corpus", seen, "all good rows", mended=mended))
