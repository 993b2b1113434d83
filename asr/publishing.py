"""An exported checkpoint -> a repository on the model hub, after a look at what would go there.

  python -m asr.publishing data/export/hub me/whisper-sw         shows it; on a terminal, asks whether to push
  python -m asr.publishing data/export/hub me/whisper-sw --yes   shows it, and pushes it in one commit

The hub is HF_ENDPOINT or huggingface.co, the token HF_TOKEN or that of `hf auth login`. A folder that tells of this
machine, by a path, an address or a secret in one of its texts, does not leave it.
"""

import argparse
import sys
from pathlib import Path

from huggingface_hub import HfApi, constants, get_token

from asr.errors import UserError, ending_in_a_line
from asr.exports.contents import Contents, contents
from asr.exports.destination import Destination, check_name, find, push, remedy
from asr.exports.privacy import private_texts
from asr.progress import say

ROOT = Path(__file__).parent.parent
MOST_SHOWN = 20  # private texts


def main() -> None:
    options = _options()
    with ending_in_a_line("nothing was pushed"):
        _publish(options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m asr.publishing", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="an exported checkpoint, such as data/export/hub")
    parser.add_argument("repo", help="the repository, OWNER/NAME; it is made if there is none")
    parser.add_argument("--yes", action="store_true", help="push without a question")
    parser.add_argument("--private", action="store_true", help="let none but its owner see a new repository")
    parser.add_argument("--revision", default="main", help="the branch; it is made if there is none (default main)")
    return parser.parse_args()


def _publish(options: argparse.Namespace) -> None:
    check_name(options.repo)
    found = contents(options.folder)
    _show_contents(found)
    token = _token()
    _refuse_private(found, token)
    api = HfApi(endpoint=constants.ENDPOINT, token=token or False)
    to = find(api, options.repo, options.revision, options.private)
    _show_destination(f"{api.endpoint}/{to.repo}", to, found)
    if token is None:
        raise UserError(f"no token: {remedy(api)}")
    if not (options.yes or _agreed(to)):
        say("nothing was pushed; add --yes to push (make publish: YES=1)")
        return
    url = push(api, found, to)
    say(f"nothing to push, it is all there: {url}" if to.commit and url.endswith(to.commit) else f"pushed: {url}")


def _token() -> str | None:
    try:
        return get_token()
    except Exception as error:  # of the exchange that gives a token to a CI job
        raise UserError(f"no token: {error}") from None


def _refuse_private(found: Contents, token: str | None) -> None:
    """Raises `UserError` where a file tells of this machine, having named each place."""
    places = [ROOT, Path.cwd(), Path.home(), found.folder.resolve()]
    hits = private_texts(found.folder, found.size_bytes, places, token)
    for hit in hits[1:MOST_SHOWN]:
        say(f"private: {hit}")
    if len(hits) > MOST_SHOWN:
        say(f"private: {len(hits) - MOST_SHOWN} more")
    if hits:
        raise UserError(f"{hits[0]}; nothing is pushed before it is taken out of {found.folder}")


def _agreed(to: Destination) -> bool:
    """What a person answers; no where there is none."""
    if not sys.stdin.isatty():
        return False
    try:
        return input(f"push this as {to.user}? [y/N] ").strip().lower() in ("y", "yes")
    except (EOFError, KeyboardInterrupt):
        say("")
        return False


def _show_contents(found: Contents) -> None:
    width = max(len(name) for name in found.size_bytes)
    for name, size_bytes in found.size_bytes.items():
        say(f"  {name:{width}}  {_size(size_bytes):>9}")
    say(f"{len(found.size_bytes)} files, {_size(found.total_bytes)}")
    for name, reason in found.left_out.items():
        say(f"left out: {name} ({reason})")


def _show_destination(url: str, to: Destination, found: Contents) -> None:
    seen = "private" if to.is_private else "public"
    if not to.is_new:
        state = f"exists, {seen}"
    elif to.user is None:
        state = f"new, or hidden from those without a token; a new one will be {seen}"
    else:
        state = f"new, will be {seen}"
    branch = to.branch if to.is_new or to.commit else f"{to.branch}, a new one"
    say(f"to {url} ({state}), branch {branch}")
    if stays := sorted(to.files - found.size_bytes.keys()):
        say(f"stays there, though the folder does not have it: {', '.join(stays)}")


def _size(n_bytes: int) -> str:
    for unit, worth in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= worth:
            return f"{n_bytes / worth:.1f} {unit}"
    return f"{n_bytes} B"


if __name__ == "__main__":
    main()
