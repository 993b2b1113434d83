"""asr/pages/worst.py: the utterances that a person should look at first."""

from asr.evaluate.predictions import Prediction
from asr.pages.worst import worst


def heard(number: int, reference: str, hypothesis: str, baseline: str = "", language: str = "es") -> Prediction:
    return Prediction(f"clip {number}", language, None, reference, hypothesis, hypothesis, baseline)


def test_the_worst_come_first_and_writing_does_not_count() -> None:
    predictions = [
        heard(0, "uno dos tres", "UNO, dos; tres!"),
        heard(1, "uno dos tres", "uno dos"),
        heard(2, "uno dos tres", "", "uno"),
        heard(3, "你好世界", "你好", "", "zh"),
    ]
    found = worst(predictions, 10)
    assert [one.prediction.id for one in found] == ["clip 2", "clip 3", "clip 1"]
    assert [(one.n_errors, one.n_units, one.unit) for one in found] == [
        (3, 3, "words"),
        (2, 4, "characters"),
        (1, 3, "words"),
    ]
    assert [one.n_errors_before for one in found] == [2, 4, 3]
    assert len(worst(predictions, 1)) == 1


def test_where_all_was_heard_nothing_is_worst() -> None:
    assert worst([heard(0, "uno", "uno"), heard(1, "", "")], 10) == []


def test_the_order_of_the_rows_does_not_matter() -> None:
    predictions = [heard(number, "uno dos tres", "uno dos" if number % 2 else "uno") for number in range(9)]
    assert worst(predictions, 5) == worst(predictions[::-1], 5)
