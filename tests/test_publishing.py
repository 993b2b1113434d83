"""The command against a hub on this machine: as a process, which reads HF_ENDPOINT as it starts, or in this one."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from asr import publishing
from asr.errors import UserError
from asr.exports.contents import contents
from asr.exports.privacy import Hit, private_texts
from tests.fake_hub import TOKEN, FakeHub, Repository, fake_hub

REPO = "me/whisper-sw"
CARD = "---\nlicense: apache-2.0\nbase_model: openai/whisper-base\n---\n# Swahili\nhttps://huggingface.co/openai\n"
HEADER = json.dumps({"__metadata__": {"format": "pt"}}).encode()
FILES = {
    "README.md": CARD.encode(),
    "config.json": b'{"vocab_size": 51865}',
    "empty.txt": b"",
    "model.safetensors": len(HEADER).to_bytes(8, "little") + HEADER + bytes(range(256)) * 1000,
    "onnx/decoder é.bin": b"\0\1\2",
    "tokenizer.json": b'{"/home/me": 1, "gs://a": 2}',
}
STRAYS = {
    ".cache": "dotfile",
    "checkpoint-40": "training state",
    "model.safetensors.partial": "unfinished",
    "nothing.txt": "leads to no file",
    "optimizer.pt": "training state",
    "trainer_state.json": "training state",
}


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with fake_hub() as hub:
        yield hub


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As export leaves it, with some more that came to lie there."""
    folder = tmp_path / "hub"
    strays = ["model.safetensors.partial", "optimizer.pt", "trainer_state.json"]
    within = [".cache/huggingface/a.json", "checkpoint-40/config.json", "checkpoint-40/model.safetensors"]
    for name, content in (FILES | dict.fromkeys(strays + within, b"x")).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "nothing.txt").symlink_to("absent.txt")
    return folder


Done = subprocess.CompletedProcess[str]
Publish = Callable[..., Done]


def publish_as_a_process(endpoint: str, folder: Path, *options: str, token: str | None = TOKEN) -> Done:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder.parent / "home"), "HF_HUB_DISABLE_XET": "1"}
    environment |= {"HF_TOKEN": token} if token else {}
    words = [sys.executable, "-m", "asr.publishing", str(folder), REPO, *options]
    return subprocess.run(words, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Publish:
    """The same in this process, which saves a second each time."""

    def run(endpoint: str, folder: Path, *options: str, repo: str = REPO, token: str = TOKEN) -> Done:
        monkeypatch.setattr(sys, "argv", ["publishing", str(folder), repo, *options])
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", token)
        capsys.readouterr()
        code: int | str | None = 0
        try:
            publishing.main()
        except SystemExit as exit:
            code = exit.code
        out, err = capsys.readouterr()
        return Done([], 1 if isinstance(code, str) else code or 0, out, err + (code if isinstance(code, str) else ""))

    return run


def refusal(done: Done) -> str:
    """The one line in which it says why it did nothing."""
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr and done.stderr.count("error:") == 1, done.stderr
    return done.stderr.splitlines()[-1].removeprefix("error: ")


def published(hub: FakeHub, branch: str = "main") -> dict[str, bytes]:
    files = dict(hub.repos[REPO].branches[branch][-1].files)
    del files[".gitattributes"]
    return files


def test_what_is_pushed_equals_the_folder_byte_for_byte(hub: FakeHub, folder: Path) -> None:
    done = publish_as_a_process(hub.endpoint, folder, "--yes")
    assert done.returncode == 0, done.stderr
    assert published(hub) == FILES
    _, commit = hub.repos[REPO].branches["main"]
    assert done.stdout.splitlines()[-1] == f"pushed: {hub.endpoint}/{REPO}/commit/{commit.oid}"
    assert not hub.repos[REPO].is_private
    assert set(hub.large.values()) == {FILES["onnx/decoder é.bin"], FILES["model.safetensors"]}


def test_a_second_push_of_the_same_folder_is_fine_and_another_sends_what_changed(
    hub: FakeHub, folder: Path, publish: Publish
) -> None:
    for _ in range(2):
        done = publish(hub.endpoint, folder, "--yes")
        assert done.returncode == 0, done.stderr
    _, first = hub.repos[REPO].branches["main"]
    assert done.stdout.endswith(f"nothing to push, it is all there: {hub.endpoint}/{REPO}/commit/{first.oid}\n")
    (folder / "config.json").write_text("{}")
    (folder / "empty.txt").unlink()
    hub.asked.clear()
    done = publish(hub.endpoint, folder, "--yes")
    assert "stays there, though the folder does not have it: empty.txt\n" in done.stdout
    assert published(hub) == FILES | {"config.json": b"{}"}
    assert len(hub.repos[REPO].branches["main"]) == 3
    assert not [entry for entry in hub.asked if entry.startswith("PUT")]


def test_a_dry_run_shows_all_and_pushes_nothing(hub: FakeHub, folder: Path) -> None:
    done = publish_as_a_process(hub.endpoint, folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "  README.md               100 B",
        "  config.json              21 B",
        "  empty.txt                 0 B",
        "  model.safetensors    256.0 kB",
        "  onnx/decoder é.bin        3 B",
        "  tokenizer.json           28 B",
        "6 files, 256.2 kB",
        *(f"left out: {name} ({STRAYS[name]})" for name in STRAYS),
        f"to {hub.endpoint}/{REPO} (new, will be public), branch main",
        "nothing was pushed; add --yes to push (make publish: YES=1)",
    ]
    assert hub.writes == [] and hub.repos == {}


def test_without_a_token_all_is_shown_and_nothing_pushed(hub: FakeHub, folder: Path) -> None:
    hub.repos[REPO] = Repository(is_private=False)
    done = publish_as_a_process(hub.endpoint, folder, "--yes", token=None)
    assert refusal(done).startswith("no token: make one that may write, ")
    assert "6 files" in done.stdout and f"to {hub.endpoint}/{REPO} (exists, public), branch main" in done.stdout
    assert hub.writes == []


def test_a_folder_that_tells_of_this_machine_does_not_leave_it(hub: FakeHub, folder: Path, publish: Publish) -> None:
    (folder / "README.md").write_text(f"{CARD}trained on /home/me/corpus\nand https://me:secret@git.example.org/x\n")
    (folder / "config.json").write_text(json.dumps({"token": TOKEN}))
    done = publish(hub.endpoint, folder, "--yes")
    assert refusal(done).startswith("README.md, line 7, a path on this machine: /home/me/corpus; nothing is pushed ")
    assert "private: README.md, line 8, a password: https://***@\n" in done.stdout
    assert "private: config.json, line 1, a token: hf_A...\n" in done.stdout
    assert hub.asked == []


@pytest.mark.parametrize(("answer", "is_pushed"), [("y", True), ("n", False), ("\4", False)])
def test_on_a_terminal_a_person_decides(
    hub: FakeHub, folder: Path, publish: Publish, monkeypatch: pytest.MonkeyPatch, answer: str, is_pushed: bool
) -> None:
    person, terminal = pty.openpty()
    with os.fdopen(person, "wb", buffering=0) as keys, os.fdopen(terminal, encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        keys.write(f"{answer}\n".encode())
        done = publish(hub.endpoint, folder)
    assert done.returncode == 0, done.stderr
    assert "push this as me? [y/N] " in done.stdout
    assert (REPO in hub.repos) == is_pushed


def test_a_private_repository_is_made_private_on_a_branch_of_its_own(
    hub: FakeHub, folder: Path, publish: Publish
) -> None:
    done = publish(hub.endpoint, folder, "--yes", "--private", "--revision", "v2")
    assert done.returncode == 0, done.stderr
    assert hub.repos[REPO].is_private
    assert published(hub, "v2") == FILES and published(hub, "main") == {}


def test_a_public_repository_does_not_take_what_shall_be_private(hub: FakeHub, folder: Path, publish: Publish) -> None:
    hub.repos[REPO] = Repository(is_private=False)
    assert "is there, and public" in refusal(publish(hub.endpoint, folder, "--yes", "--private"))
    assert hub.writes == []


@pytest.mark.parametrize(
    ("ills", "options", "said"),
    [
        ({}, {"token": "hf_revoked"}, "refuses the token; make one that may write, "),
        ({}, {"repo": "you/whisper-sw"}, "the token may not write to you/whisper-sw (no rights); make one "),
        ({"/api/models": 500}, {}, "is out of order (500 at /api/models/me/whisper-sw/revision/main)"),
        ({"/commit/": 500}, {}, "is out of order (500 at /api/models/me/whisper-sw/commit/main)"),
        ({"/lfs/objects": 403}, {}, "the token may not write to me/whisper-sw"),
        ({"/lfs/verify": 404}, {}, "does not take it ("),
    ],
)
def test_what_the_hub_refuses_is_said_in_a_line(
    hub: FakeHub, folder: Path, ills: dict[str, int], options: dict[str, str], said: str, publish: Publish
) -> None:
    hub.ills = ills
    line = refusal(publish(hub.endpoint, folder, "--yes", **options))
    assert line.startswith(hub.endpoint) and said in line
    assert REPO not in hub.repos or published(hub) == {}


def test_a_dead_hub_is_said_in_a_line(folder: Path, publish: Publish) -> None:
    with fake_hub() as hub:
        endpoint = hub.endpoint
    assert refusal(publish(endpoint, folder, "--yes")).startswith(f"{endpoint} cannot be reached (ConnectError: ")


def test_a_token_that_only_reads_is_refused_in_the_dry_run(hub: FakeHub, folder: Path, publish: Publish) -> None:
    hub.role = "read"
    assert refusal(publish(hub.endpoint, folder)).startswith("the token of me may only read; make one ")


def test_a_card_that_the_hub_does_not_take_is_said_before_weights_are_sent(
    hub: FakeHub, folder: Path, publish: Publish
) -> None:
    (folder / "README.md").write_text("---\nlicense: mine\n---\n")
    assert 'README.md. - "license" must be one of' in refusal(publish(hub.endpoint, folder, "--yes"))
    assert hub.large == {}


def test_a_file_that_the_hub_left_out_is_missed(hub: FakeHub, folder: Path, publish: Publish) -> None:
    hub.ignored = {"config.json"}
    assert " is without config.json; " in refusal(publish(hub.endpoint, folder, "--yes"))


@pytest.mark.parametrize("repo", ["", "whisper-sw", "me/a/b", "https://huggingface.co/me/x", "me/whisper sw", "me/-x"])
def test_a_name_that_no_repository_can_have_is_refused(repo: str) -> None:
    from asr.exports.destination import check_name

    check_name(REPO)
    with pytest.raises(UserError, match="name it OWNER/NAME, as me/whisper-sw"):
        check_name(repo)


def test_a_folder_without_card_or_weights_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match=r"none: no such folder"):
        contents(folder / "none")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"no weights, such as model\.safetensors"):
        contents(folder)
    shards = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    (folder / "model-1.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=r"no model-2\.safetensors, which model\.safetensors\.index\.json names"):
        contents(folder)
    (folder / "model-2.safetensors").write_bytes(b"")
    assert {"model-1.safetensors", "model-2.safetensors"} < contents(folder).size_bytes.keys()
    (folder / "README.md").unlink()
    with pytest.raises(UserError, match=r"no README\.md"):
        contents(folder)


def found_in(text: str, folder: Path, name: str = "README.md", token: str | None = None) -> list[str]:
    (folder / name).write_bytes(text.encode())
    return [hit.text for hit in private_texts(folder, [name], [Path("/"), Path("/checkouts/project")], token)]


@pytest.mark.parametrize(
    "text",
    [
        "/home/me/data",
        "/root/.cache",
        "/Users/me",
        "/mnt/disk/x.wav",
        "C:\\\\Users\\\\me",
        "D:\\data",
        "/checkouts/project/data/model",
        "gs://bucket/x",
        "s3://bucket/x",
        "file:///x",
        "sqlite:///mlflow.db",
        "http://localhost:5000",
        "http://127.0.0.1:5000/#/a",
        "https://192.168.1.2/a",
        "hf_" + "x" * 34,
    ],
)
def test_a_text_that_tells_of_this_machine_is_found_wherever_it_stands(text: str, tmp_path: Path) -> None:
    for around in ("{}", "see ({}) there", '{{"path": "{}"}}', "a={}", '{{"a": "line\\n{} line"}}', "`{}`, and more"):
        assert found_in(around.format(text), tmp_path) == [text], around


@pytest.mark.parametrize(
    "text",
    [
        "https://huggingface.co/openai/whisper-base/resolve/main/config.json",
        "https://github.com/home/project/blob/main/data/README.md",
        "https://example.org:8443/a@b",
        "data/model and ./data/x, ../home/x, and/or, <|notimestamps|>, 1/2, 12:30",
        "/checkouts/project-2 and the root /",
        "hf_model, hf://me/x, me@example.org",
        '{"regex": "[^\\\\s]:\\\\d+/"}',
    ],
)
def test_an_ordinary_text_is_not_held_back(text: str, tmp_path: Path) -> None:
    assert found_in(text, tmp_path) == []


def test_vocabularies_are_searched_for_the_token_alone(tmp_path: Path) -> None:
    assert found_in("/home/me own-token", tmp_path, "vocab.json", "own-token") == ["own-token"]
    assert found_in("/home/me own-token", tmp_path, "config.json", "own-token") == ["/home/me", "own-token"]


def test_the_header_of_safetensors_is_searched_and_other_binaries_are_not(tmp_path: Path) -> None:
    header = b'{"__metadata__": {"from": "/home/me/x"}}'
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"/home/weights")
    (tmp_path / "a.bin").write_bytes(b"\0/home/me")
    hits = private_texts(tmp_path, ["model.safetensors", "a.bin"], [], None)
    assert hits == [Hit("model.safetensors", 1, "a path on this machine", "/home/me/x")]
