"""requirements.lock -> how old its versions are, the oldest first, by the times of upload that the package index knows.

python -m tests.lock_ages
"""

import statistics
import subprocess
import tempfile
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parent.parent / "requirements.lock"
N_SHOWN = 10
# uv writes what the index says of each file: https://packaging.python.org/en/latest/specifications/pylock-toml/
UV = ("uv", "pip", "compile", "--quiet", "--no-deps", "--python-version", "3.11", "--format", "pylock.toml")


def uploads(resolved: dict[str, Any]) -> dict[str, datetime]:
    """When the first file of each version came to the index, by `name==version`; those it does not say are left out."""
    found = {}
    for package in resolved["packages"]:
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        times = [file["upload-time"] for file in files if "upload-time" in file]
        if times:
            found[f"{package['name']}=={package['version']}"] = min(times)
    return found


def lines(found: dict[str, datetime], n_locked: int, now: datetime) -> list[str]:
    """What is printed of them."""
    days = sorted(((now - uploaded).days, name) for name, uploaded in found.items())
    median = statistics.median(age for age, _ in days)
    head = f"{n_locked} versions in {LOCK.name}, of {len(days)} the index knows the age: median {median:.0f} days"
    return [head, *(f"{age:>6} days  {name}" for age, name in days[: -N_SHOWN - 1 : -1])]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pylock.toml"
        subprocess.run([*UV, "--output-file", str(path), str(LOCK)], check=True, stdout=subprocess.DEVNULL)
        found = uploads(tomllib.loads(path.read_text(encoding="utf-8")))
    n_locked = sum("==" in line for line in LOCK.read_text(encoding="utf-8").splitlines())
    print("\n".join(lines(found, n_locked, datetime.now(UTC))))


if __name__ == "__main__":
    main()
