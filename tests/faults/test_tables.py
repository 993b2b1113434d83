"""Tables that are damaged, or not what their name says: rows, rejects, or one line; never a wait or a traceback."""

import os
import resource
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asr import params
from asr.errors import UserError
from asr.sources.rows import read_rows
from asr.utterances import Rejected
from tests.faults.table import Seen, note
from tests.faults.tables import write_table

N_DAMAGED = 200  # of each kind
GROWTH_MB = 200
LONG = b"x" * 3_000_000
TWICE = pa.table([pa.array(["a"]), pa.array(["b"]), pa.array(["c"])], names=["audio", "text", "text"])
SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")


def refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        list(read_rows(params.Table(path=str(path))))
    (line,) = str(caught.value).splitlines()
    assert str(path) in line
    return line


def written(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def typed(column: pa.Array) -> Callable[[Path], object]:
    return lambda path: pq.write_table(pa.table({"audio": ["a"], "text": column}), path)


OUT_OF_RANGE = "a traceback from the conversion of the column is now one line"
REFUSED: list[tuple[str, str, Callable[[Path], object], str, str]] = [
    ("a table without a byte", "t.csv", written(b""), "Empty CSV", ""),
    ("a Parquet table without a byte", "t.parquet", written(b""), "0 bytes", ""),
    ("a table in UTF-16", "t.csv", written("audio,text\na,b\n".encode("utf-16")), "can't decode", ""),
    ("a quote that never closes", "t.csv", written(b'audio,text\na,"b\n' + b"c,d\n" * 10**6), "never closed", ""),
    (
        *("a quote that never closes, in a small table", "t.csv", written(b'audio,text\na,"b\nc,d\ne,f\n')),
        *("never closed", "the rows after it were swallowed in silence"),
    ),
    ("a cell of three million letters", "t.tsv", written(b"audio\ttext\na\t" + LONG + b"\n"), "straddl", ""),
    ("a folder in the place of the table", "t.csv", Path.mkdir, "not a file", ""),
    ("a pipe in the place of the table", "t.jsonl", os.mkfifo, "not a file", ""),
    ("a link to itself in the place of the table", "t.csv", lambda path: path.symlink_to(path), "Too many levels", ""),
    (
        "a Parquet table whose footer lies",
        "t.parquet",
        written(b"PAR1" + b"\xff" * 100 + b"PAR1"),
        "cannot be read",
        "",
    ),
    (
        *("a CSV with a column twice", "t.csv", written(b"audio,text,text\na,b,c\n"), "2 columns 'text'"),
        "the first of the two was read, without a word",
    ),
    (
        *("a Parquet table with a column twice", "t.parquet", lambda path: pq.write_table(TWICE, path)),
        *("2 columns 'text'", "a traceback (KeyError) is now one line"),
    ),
    (
        *("a Parquet table of dates beyond any year", "t.parquet", typed(pa.array([2**30], pa.date32()))),
        *("cannot be read", OUT_OF_RANGE),
    ),
    (
        *(
            "a Parquet table of times in no known zone",
            "t.parquet",
            typed(pa.array([1], pa.timestamp("us", "No/Where"))),
        ),
        *("No/Where", OUT_OF_RANGE),
    ),
]


@pytest.mark.parametrize(("fault", "name", "make", "says", "mended"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_table_that_cannot_be_read_is_one_line(
    tmp_path: Path, fault: str, name: str, make: Callable[[Path], object], says: str, mended: str
) -> None:
    make(tmp_path / name)
    line = refused(tmp_path / name)
    assert says in line
    note(Seen("input", fault, line, "nothing is made of it; the table stays as it is", mended=mended))


REJECTED: list[tuple[str, str, Callable[[Path], object], str]] = [
    (
        "a line of 100,000 brackets in a JSONL",
        "t.jsonl",
        written(b"[" * 100_000 + b"\n"),
        "a traceback is now a reject",
    ),
    ("a number of 5,000 digits in a JSONL", "t.jsonl", written(b'{"audio":' + b"9" * 5000 + b"}\n"), ""),
    ("half a line of JSON", "t.jsonl", written(b'{"audio": "a", "te\n'), ""),
    ("a row with a cell too many", "t.csv", written(b"audio,text\na,b,c\n"), ""),
    (
        *("a row with a cell too many, in bytes that are not UTF-8", "t.csv", written(b"audio,text\na,\xff,c\n")),
        "a traceback, and the whole table was refused",
    ),
    ("a Parquet table with lists for texts", "t.parquet", typed(pa.array([["b"]])), ""),
]


@pytest.mark.parametrize(("fault", "name", "make", "mended"), REJECTED, ids=[row[0] for row in REJECTED])
def test_a_row_that_cannot_be_read_is_rejected_and_those_after_it_are_read(
    tmp_path: Path, fault: str, name: str, make: Callable[[Path], object], mended: str
) -> None:
    path = tmp_path / name
    make(path)
    after = {".csv": b"good,text\n", ".jsonl": b'{"audio": "good", "text": "text"}\n'}.get(path.suffix, b"")
    if after:
        path.write_bytes(path.read_bytes() + after)
    found = list(read_rows(params.Table(path=str(path))))
    (bad,) = [row for row in found if isinstance(row, Rejected)]
    assert bad.reason == "bad row"
    assert len(bad.detail.splitlines()) == 1
    good = [row for row in found if not isinstance(row, Rejected)]
    assert good == ([{"audio": "good", "text": "text"}] if after else [])
    note(
        Seen(
            "input",
            fault,
            f"{bad.reason}: {bad.detail}",
            "all other rows; this one is among the rejects",
            mended=mended,
        )
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_damaged_table_is_rows_or_one_line(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    rows = [{"audio": f"{n}.wav", "text": f'Un "texto", {n}.', "id": str(n)} for n in range(100)]
    if suffix == ".tsv":
        path.write_text("audio\ttext\tid\n" + "".join("\t".join(row.values()) + "\n" for row in rows))
    else:
        write_table(path, rows)
    whole = path.read_bytes()
    before_mb = peak_mb()
    seen: Counter[str] = Counter()
    lines: list[str] = []
    for number in range(N_DAMAGED):
        path.write_bytes(damaged(whole, Random(f"{suffix} {number}")))
        try:
            found = list(read_rows(params.Table(path=str(path))))
        except UserError as error:
            lines.append(str(error))
        else:
            seen["tables read"] += 1
            seen["rows rejected"] += sum(isinstance(row, Rejected) for row in found)
    assert all(line.startswith("data.table.path: ") and len(line.splitlines()) == 1 for line in lines)
    seen["tables refused in a line"] = len(lines)
    assert peak_mb() < before_mb + GROWTH_MB
    sees = ", ".join(f"{count:,} {what}" for what, count in sorted(seen.items()) if count)
    note(Seen("input", f"{N_DAMAGED} {suffix[1:]} tables, damaged by chance", sees, "what can be read of them"))


def damaged(content: bytes, random: Random) -> bytes:
    """With some bits turned, a piece left out, or one put in."""
    harmed = bytearray(content)
    for _ in range(random.choice((1, 3, 20))):
        at = random.randrange(len(harmed))
        match random.randrange(4):
            case 0 | 1:
                harmed[at] ^= 1 << random.randrange(8)
            case 2:
                del harmed[at : at + random.choice((1, 9))]
            case _:
                harmed[at:at] = random.choice((b"\0", b'"', b"\r", b"\xff", b"\xef\xbb\xbf", random.randbytes(9)))
    return bytes(harmed)


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
