"""An export and the test split -> what it hears there, and whether it hears as well as the run says."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from asr.errors import UserError
from asr.evaluate.decode import DETECT
from asr.evaluate.hearing import SPLIT, hear_split
from asr.evaluate.predictions import Prediction
from asr.evaluate.scoring import metrics
from asr.evaluate.verdict import headline
from asr.loading.batches import EpochBatches
from asr.params import Evaluate
from asr.progress import track

BATCH_SIZE = 16
PAD_ID = 50257  # of labels, which nothing looks at here


@dataclass(frozen=True)
class Check:
    """The score of an export on the test split (WER, or CER where words are not set apart), heard in windows of
    `window_s`, and the 95 % interval that the run's own decoding at this window has."""

    score: str
    rate: float
    interval: tuple[float, float]
    window_s: int

    @property
    def holds(self) -> bool:
        low, high = self.interval
        return low <= self.rate <= high

    def require(self, what: str) -> None:
        """Raises `UserError` where the export hears otherwise than the run says."""
        if not self.holds:
            low, high = self.interval
            raise UserError(
                f"{what}: {self.score.upper()} {self.rate:.1%} on the test split at {self.window_s or 'own'} s, "
                f"outside of the run's own {low:.1%} to {high:.1%}; leave it out of export.formats, or train longer"
            )


def hear_adapter(base: Path, folder: Path, features: Path, window_s: int, chosen: Evaluate) -> dict[str, str]:
    """What the base checkpoint hears with the adapter in `folder`, as peft loads and merges it."""
    from peft import PeftModel
    from transformers import WhisperForConditionalGeneration, WhisperProcessor

    from asr.models import checkpoints

    network = checkpoints.load_model(base, WhisperForConditionalGeneration)
    merged = PeftModel.from_pretrained(network, str(folder)).merge_and_unload()
    with tempfile.TemporaryDirectory() as place:
        checkpoints.save(merged, WhisperProcessor.from_pretrained(base), Path(place))
        return hear_split(Path(place), features, window_s, chosen, "adapter").hypotheses


def hear_ctranslate2(folder: Path, features: Path, window_s: int, chosen: Evaluate, description: str) -> dict[str, str]:
    """As faster-whisper would at 30 s, with as many beams as the evaluation and in the languages that it takes."""
    from asr.transcription.ctranslate2_engine import CTranslate2Engine

    engine = CTranslate2Engine(folder)
    batches = EpochBatches(features, SPLIT, batch_size=BATCH_SIZE, window_s=window_s, pad_id=PAD_ID)
    texts: dict[str, str] = {}
    for batch in track(batches, description, total=len(batches)):
        encoded = engine.encode(batch["input_features"].numpy())
        prompts = engine.prompts_of(batch["decoder_input_ids"].tolist())
        if chosen.language == DETECT:
            prompts = engine.detected(encoded)
        tokens = engine.decode(encoded, prompts, batch["n_frames"].tolist(), chosen.beams)
        texts |= dict(zip(batch["ids"], map(engine.text, tokens), strict=True))
    return texts


def check(
    heard: dict[str, str], predictions: Sequence[Prediction], window_s: int, trained_window_s: int, chosen: Evaluate
) -> Check:
    """`heard` beside what the run's own decoding heard at this window (the trained one, or 30 s)."""
    is_trained = window_s == trained_window_s
    own = [row if is_trained else replace(row, hypothesis=row.hypothesis_30s) for row in predictions]
    exported = [replace(row, hypothesis=heard[row.id]) for row in predictions]
    of_run, of_export = (metrics(rows, chosen.bootstrap_samples, chosen.seed, sliced=False) for rows in (own, exported))
    score = headline(of_run)
    low, high = of_run[f"{score}_interval"] or (0.0, 1.0)
    return Check(score, of_export[score], (low, high), window_s)
