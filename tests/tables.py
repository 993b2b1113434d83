"""Tables of a corpus for tests: written in every kind, and what is read of them."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from asr import params
from asr.sources import table
from asr.utterances import Rejected, Utterance


def written(content: str | bytes, name: str = "corpus/t.csv") -> str:
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


def data(path: str, **fields: Any) -> params.Data:
    return params.Data(source="table", table=params.Table(path=path, **fields))


def read(path: str, **fields: Any) -> list[Utterance | Rejected]:
    return list(table.utterances(data(path, **fields), Path("unused")))


def reasons(path: str, **fields: Any) -> list[str | None]:
    return [row.reason if isinstance(row, Rejected) else None for row in read(path, **fields)]


def as_csv(rows: list[dict[str, str]]) -> str:
    quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in row.values()) for row in rows]
    return written("\ufeff" + "\n".join([",".join(rows[0]), *quoted]) + "\n")


def as_tsv(rows: list[dict[str, str]]) -> str:
    return written(
        "\n".join("\t".join(cells) for cells in [list(rows[0]), *map(dict.values, rows)]) + "\n", "corpus/t.tsv"
    )


def as_jsonl(rows: list[dict[str, str]]) -> str:
    return written("\n".join(map(json.dumps, rows)), "corpus/t.jsonl")


def as_parquet(rows: list[dict[str, str]]) -> str:
    pq.write_table(pa.Table.from_pylist(rows), "corpus/t.parquet")
    return "corpus/t.parquet"
