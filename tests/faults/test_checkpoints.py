"""A checkpoint, a table or a file of params that carries code: it is told in a line, and none of it runs."""

import ast
import json
import os
import pickle
import shutil
import signal
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from asr.shards import sha256_of
from tests.faults.flow import ROOT, STAGES, Done, Flow, ended
from tests.faults.hostile import bare
from tests.faults.table import Seen, note
from tests.sources.layouts import clip

GROUP = "security"
NOTHING_RUNS = "none of its code runs; "
WAIT_S = 120


class Bomb:
    """What touches a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.trace}",)


def arm(path: Path, trace: Path) -> None:
    """As `torch.save` writes it."""
    torch.save({"state": Bomb(trace)}, path)
    with zipfile.ZipFile(path) as file:
        pickled = next(name for name in file.namelist() if name.endswith("data.pkl"))
        pickle.loads(file.read(pickled))  # it is a live one
    assert trace.exists()
    trace.unlink()


def copied(base: Path, folder: Path) -> Path:
    return Path(shutil.copytree(base.resolve(), folder))


def fetched(flow: Flow, checkpoint: Path) -> Done:
    """What fetch makes of a directory."""
    flow.choose({"model": {"checkpoint": str(checkpoint)}})
    (flow.data / "checkpoint.json").write_text("{}")
    return flow.run_stage("fetch")


@pytest.mark.slow
def test_a_pickled_checkpoint_is_refused_in_a_line(tmp_path: Path, scratch: Path) -> None:
    flow, trace = bare(tmp_path / "project"), tmp_path / "ran"
    checkpoint = copied(scratch, flow.folder / "pickled")
    (checkpoint / "model.safetensors").unlink()
    arm(checkpoint / "pytorch_model.bin", trace)
    done = fetched(flow, Path("pickled"))
    assert done.status == 1
    assert done.errors == done.said.splitlines()
    assert "pytorch_model.bin is a pickle, which can run code" in done.line
    assert not (flow.data / "base").exists()
    assert not trace.exists()
    note(Seen(GROUP, "a checkpoint that is a pickle (pytorch_model.bin)", done.line, "nothing of it is kept"))


@pytest.mark.slow
def test_code_that_a_checkpoint_brings_is_not_run(tmp_path: Path, scratch: Path) -> None:
    flow, trace = bare(tmp_path / "project"), tmp_path / "ran"
    checkpoint = copied(scratch, flow.folder / "coded")
    for name in ("config.json", "tokenizer_config.json", "generation_config.json", "preprocessor_config.json"):
        content = json.loads((checkpoint / name).read_text())
        content["auto_map"] = dict.fromkeys(
            ("AutoConfig", "AutoModel", "AutoModelForSpeechSeq2Seq", "AutoTokenizer", "AutoFeatureExtractor"),
            "evil.Evil",
        )
        content["custom_generate"] = "evil"
        (checkpoint / name).write_text(json.dumps(content))
    (checkpoint / "evil.py").write_text(f"open({str(trace)!r}, 'w')\n\n\nclass Evil:\n    pass\n")
    for extra in ("pytorch_model.bin", "training_args.bin", "optimizer.pt"):
        arm(checkpoint / extra, trace)
    done = fetched(flow, Path("coded"))
    assert not trace.exists()
    assert done.status == 0, done.said
    kept = {path.name for path in (flow.data / "base").rglob("*")}
    assert not {name for name in kept if name.endswith((".py", ".bin", ".pt"))}
    note(
        Seen(
            GROUP,
            "a checkpoint with code of its own (auto_map, evil.py), and pickles beside its weights",
            done.said.strip(),
            NOTHING_RUNS + "the weights are used, and neither code nor pickles are copied",
        )
    )


@pytest.mark.slow
def test_a_pickle_in_place_of_the_trained_model_is_not_loaded(flow: Flow, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    model = flow.data / "model"
    (model / "model.safetensors").unlink()
    arm(model / "pytorch_model.bin", trace)
    done = flow.run("asr.transcribe", "--model", "data/model", str(clip(tmp_path / "clip.wav")))
    assert done.status == 1
    assert done.errors == done.said.splitlines()
    assert not trace.exists()
    note(
        Seen(
            GROUP,
            "a pickle in place of a trained model's weights",
            done.line,
            NOTHING_RUNS + "the model comes back from DVC's cache: `dvc checkout`",
            mended="weights were also looked for in pytorch_model.bin, by torch's reader of restricted pickles",
        )
    )


def interrupted(flow: Flow) -> Path:
    """The newest checkpoint of a training that SIGTERM has stopped after some step."""
    flow.forget("train")
    started_s = time.monotonic()
    running = flow.start_stage("train", CHECKPOINT_EVERY_S="0")
    while not list(flow.data.glob("training/*/checkpoint-*/complete.json")):
        assert running.process.poll() is None, running.process.communicate()
        assert time.monotonic() - started_s < WAIT_S
        time.sleep(0.02)
    running.process.send_signal(signal.SIGTERM)
    done = ended(running, started_s)
    assert done.status == 128 + signal.SIGTERM, done.said
    (complete,) = flow.data.glob("training/*/checkpoint-*/complete.json")
    return complete.parent


def pass_for_sound(checkpoint: Path) -> None:
    """As whoever has put something into it would see to."""
    mark = checkpoint / "complete.json"
    said = json.loads(mark.read_text())
    said["sha256"] = {name: sha256_of(checkpoint / name) for name in said["sha256"]}
    mark.write_text(json.dumps(said))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rng_state.pth", "optimizer.pt"])
def test_a_poisoned_state_of_a_training_is_told_and_not_run(
    flow: Flow, expected: dict[str, Any], tmp_path: Path, name: str
) -> None:
    trace = tmp_path / "ran"
    checkpoint = interrupted(flow)
    assert (checkpoint / name).exists(), list(checkpoint.iterdir())
    arm(checkpoint / name, trace)
    arm(checkpoint / "training_args.bin", trace)
    pass_for_sound(checkpoint)
    done = flow.run_stage("train")
    assert not trace.exists()
    assert done.status == 1
    assert done.errors, done.said
    assert "Traceback" not in done.said
    if name == "rng_state.pth":  # which is loaded elsewhere than all others
        return
    again = flow.repro("train")  # what comes after it stands there yet
    assert again.status == 0, again.said
    assert flow.outcome() == expected
    note(
        Seen(
            GROUP,
            "a pickle with code in the state of an interrupted training (optimizer.pt)",
            done.line,
            NOTHING_RUNS + "the checkpoint is set aside, and the next run trains from the start",
            mended="ended in a traceback, at each further run too",
        )
    )


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!evil"])
def test_yaml_that_asks_for_objects_makes_none(tmp_path: Path, tag: str) -> None:
    flow, trace = bare(tmp_path / "project"), tmp_path / "ran"
    with (flow.folder / "params.yaml").open("a") as file:
        file.write(f"evil: {tag} ['touch {trace}']\n")
    done = flow.run_stage("listing")
    assert not trace.exists()
    assert done.status == 1
    assert done.errors == done.said.splitlines()
    if tag.startswith("!!python"):
        fault = f"a YAML tag that calls a function, in params.yaml ({tag})"
        note(Seen(GROUP, fault, done.line.replace(str(trace), "ran"), NOTHING_RUNS + "all that was made before"))


# What could load a pickle, or run what it was given.
LOADERS = {
    *("pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"),
    *("eval", "exec", "compile", "__import__", "system", "popen", "unsafe_load", "full_load"),
}
ALLOWED = {"re.compile", "ast.compile", "torch.compile"}


def names(path: Path) -> set[str]:
    """Of what a module imports and calls, and the keywords that would let it run what it loads."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module).partition(".")[0], *(alias.name for alias in node.names)}
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            is_method = isinstance(node.func, ast.Attribute)
            name = called.rpartition(".")[2]
            # `network.eval()` is a model's, and takes nothing.
            if called not in ALLOWED and not (is_method and name in ("eval", "exec", "compile")):
                found.add(name)
            found |= {"torch.load"} & {called}
            for keyword in node.keywords:
                if isinstance(keyword.value, ast.Constant) and keyword.value.value is True:
                    found |= {keyword.arg or ""} & {"trust_remote_code", "allow_pickle", "shell"}
                if keyword.arg == "weights_only" and ast.unparse(keyword.value) != "True":
                    found.add("weights_only")
    return found


def test_no_module_unpickles_or_runs_what_it_is_given() -> None:
    refused = LOADERS | {"torch.load", "trust_remote_code", "allow_pickle", "shell", "weights_only"}
    modules = [path for part in ("asr", "pipelines", "stages") for path in sorted((ROOT / part).rglob("*.py"))]
    assert len(modules) > 100
    found = {str(path.relative_to(ROOT)): names(path) & refused for path in modules}
    assert {name: used for name, used in found.items() if used} == {}


def test_every_checkpoint_is_read_as_safetensors() -> None:
    """`from_pretrained` of a model takes pickles too, where it is not told otherwise."""
    for path in sorted((ROOT / "asr").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".from_pretrained"):
                called = ast.unparse(node.func)
                if called.endswith(
                    ("Processor.from_pretrained", "Tokenizer.from_pretrained", "Extractor.from_pretrained")
                ):
                    continue
                given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert given.get("use_safetensors") == "True" or called.startswith("PeftModel"), f"{path}: {called}"


def test_no_stage_is_handed_to_a_shell_with_more_than_its_paths() -> None:
    assert all(set(stage["cmd"]) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-./ ") for stage in STAGES.values())
