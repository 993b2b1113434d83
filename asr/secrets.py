"""A text from anywhere -> the same without passwords and tokens, and without what a terminal would obey."""

import os
import re

COVER = "***"
# Whose values are secrets, wherever they turn up.
VARIABLES = (
    *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
    *("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"),
)
SHORTEST = 6  # a shorter value is in many a word
_NAMES = r"[\w.-]*(?:token|secret|passw(?:or)?d|pwd|signature|credential|api[_-]?key|access[_-]?key(?:[_-]?id)?)"
# `user:password@` before a host (RFC 3986, 3.2.1), and what signed addresses carry (AWS, Google, Azure).
_IN_ADDRESSES = re.compile(
    rf"(?<=://)[^\s/?#@]+(?=@)|(?<=[?&;])((?:{_NAMES}|sig|key|auth)=)[^\s&;#'\"]+", re.IGNORECASE
)
# Control characters but for tab and line end, line ends of Unicode, turns of direction, and halves of characters.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def without_secrets(text: str) -> str:
    """What is secret in addresses, and the values of the environment's secrets, covered."""
    if "://" in text:
        text = _IN_ADDRESSES.sub(lambda found: f"{found[1] or ''}{COVER}", text)
    for name in VARIABLES:
        value = os.environ.get(name, "")
        if len(value) >= SHORTEST:
            text = text.replace(value, COVER)
    return text


def printable(text: str) -> str:
    """The same without secrets, with escapes in place of what moves a terminal's cursor or turns its text around."""
    return _OBEYED.sub(lambda found: ascii(found[0])[1:-1], without_secrets(text))
