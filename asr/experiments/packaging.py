"""A checkpoint -> a model of MLflow that carries all it needs: transformers' flavour, and one that hears audio files.

`mlflow models serve` answers with the latter, asr/serving.py, which it takes along with the rest of this library.
"""

import logging
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

import asr
from asr.errors import UserError
from asr.experiments.address import set_environment

WEIGHTS = "*.safetensors"
CODE, DATA = "code", "model"  # folders in the package
# What asr/serving.py answers with.
HEARD = {"text": "string", "language": "string", "confidence": "double", "duration_s": "double", "error": "string"}
# What it needs, as it is installed here.
REQUIREMENTS = (
    *("av", "fsspec", "mlflow", "numpy", "onnxruntime", "pandas", "pyarrow", "pydantic", "rich", "ruamel.yaml"),
    *("safetensors", "scipy", "silero-vad", "soundfile", "soxr", "tokenizers", "torch", "transformers"),
)


def package(checkpoint: Path, folder: Path) -> None:
    """Writes `folder`, for `mlflow.transformers.load_model`, `mlflow.pyfunc.load_model` and `mlflow models serve`.

    The last two take rows with the bytes of an audio file in `audio`, and optionally its `language`.
    """
    set_environment()
    logging.getLogger("mlflow.transformers").setLevel(logging.ERROR)  # it misses the hub's card of a local model
    from mlflow import transformers as flavour
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec
    from transformers import WhisperForConditionalGeneration, WhisperProcessor
    from transformers.utils import logging as bars

    bars.disable_progress_bar()  # of weights that take a second
    checkpoint = checkpoint.resolve()  # MLflow would look a relative path up at the hub
    processor = WhisperProcessor.from_pretrained(checkpoint)
    asked: list[ColSpec | TensorSpec] = [ColSpec("binary", "audio"), ColSpec("string", "language", required=False)]
    heard: list[ColSpec | TensorSpec] = [ColSpec(kind, name) for name, kind in HEARD.items()]
    flavour.save_model(
        {
            "model": WhisperForConditionalGeneration.from_pretrained(checkpoint, use_safetensors=True),
            "tokenizer": processor.tokenizer,
            "feature_extractor": processor.feature_extractor,
        },
        str(folder),
        task="automatic-speech-recognition",
        signature=ModelSignature(Schema(asked), Schema(heard)),
        pip_requirements=_requirements(),
    )
    for path in checkpoint.iterdir():  # what transformers' flavour keeps in other places
        if path.is_file() and not path.match(WEIGHTS) and not (folder / DATA / path.name).exists():
            shutil.copyfile(path, folder / DATA / path.name)
    shutil.copyfile(checkpoint / "config.json", folder / DATA / "config.json")  # with the window
    source = Path(asr.__file__).parent
    shutil.copytree(source, folder / CODE / source.name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    _serve_with(folder / "MLmodel", "asr.serving")


def _requirements() -> list[str]:
    """With the versions that are installed here. Raises `UserError` where one is missing."""
    try:
        return [f"{name}=={version(name)}" for name in REQUIREMENTS]
    except PackageNotFoundError as error:
        raise UserError(f"a model that can be served needs {error.name}: pip install '.[transcribe,formats]'") from None


def _serve_with(description: Path, loader: str) -> None:
    """Has MLflow load the package as Python's by `loader`, and not by transformers' own flavour."""
    yaml = YAML()
    content: Any = yaml.load(description)
    content["flavors"]["python_function"] |= {"loader_module": loader, "data": DATA, "code": CODE}
    with description.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
