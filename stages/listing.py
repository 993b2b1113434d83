"""data and the corpus -> data/listing.json: a digest that changes when the corpus does."""

import hashlib
import json
from pathlib import Path

from asr import params
from asr.sources import source
from stages import stage


def main(output: Path) -> None:
    data = params.load().data
    lines = sorted(f"{name}\0{version}\n" for name, version in source(data.source).listing(data))
    digest = hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()
    content = {"source": data.source, "files": len(lines), "digest": digest}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    stage(main)
