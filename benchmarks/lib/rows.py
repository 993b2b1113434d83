"""What a benchmark measured, row by row -> a file that lets a killed one go on where it was."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Rows:
    """Results by name in `folder/rows.json`, each there as soon as it is known; of these `settings` only."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.path = folder / "rows.json"
        self.settings = json.loads(json.dumps(settings))
        self.found: dict[str, Any] = {}
        if self.path.exists():
            content = json.loads(self.path.read_text(encoding="utf-8"))
            if content["settings"] == self.settings:
                self.found = content["rows"]

    def get(self, name: str, measure: Callable[..., Any], *arguments: Any) -> Any:
        """The row of this name; if it is not there, what `measure` makes of the arguments."""
        if name not in self.found:
            print(f"{time.strftime('%H:%M:%S')}  {self.path.parent.name}: {name}", file=sys.stderr, flush=True)
            self.found[name] = measure(*arguments)
            part = self.path.with_suffix(".part")
            part.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps({"settings": self.settings, "rows": self.found}, ensure_ascii=False))
            os.replace(part, self.path)
        return self.found[name]
