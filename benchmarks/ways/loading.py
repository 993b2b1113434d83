"""Our shards -> batches in memory, one way; writes how many clips that were, and the seconds they took.

PYTHONPATH=benchmarks python benchmarks/ways/loading.py {ours,worker,scan,waiting} FEATURES OUT_FILE CLIPS_PER_S

Seconds count from the first batch asked for, without imports and the reading of the index. `waiting` sleeps between the
batches of one worker as long as a device of CLIPS_PER_S would compute; the other ways ignore that.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import torch
from lib.timing import BATCH_SIZE, timed

from asr.loading.batches import COLUMNS, EpochBatches, EpochLoader
from asr.shards import read_index

WINDOW_S = 10
PAD_ID = 50257


def main(way: str, features: Path, out: Path, clips_per_s: float) -> None:
    torch.set_num_threads(1)
    if way == "scan":
        found = timed(scan(features))
    else:
        epoch = EpochBatches(features, "train", batch_size=BATCH_SIZE, window_s=WINDOW_S, pad_id=PAD_ID, seed=1)
        loader = EpochLoader(epoch, n_workers=0 if way == "ours" else 1)
        found = waiting(loader, clips_per_s) if way == "waiting" else timed(len(batch["ids"]) for batch in loader)
    out.write_text(json.dumps(found))


def scan(features: Path) -> Iterator[int]:
    """The columns that training reads, of all row groups in their order, and nothing done with them."""
    for entry in read_index(features).splits["train"]:
        with pq.ParquetFile(features / entry.name) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group, COLUMNS, use_threads=False).num_rows


def waiting(loader: EpochLoader, clips_per_s: float) -> dict[str, float]:
    """Seconds that the device waits for a batch: the first, while the worker starts, and all others together."""
    batches = iter(loader)
    began_s = time.perf_counter()
    next(batches)
    start_s = time.perf_counter() - began_s
    n_clips, waited_s, began_s = 0, 0.0, time.perf_counter()
    while True:
        time.sleep(BATCH_SIZE / clips_per_s)
        asked_s = time.perf_counter()
        batch = next(batches, None)
        waited_s += time.perf_counter() - asked_s
        if batch is None:
            break
        n_clips += len(batch["ids"])
        del batch  # to give its memory back is no waiting
    return {"clips": n_clips, "start_s": start_s, "waited_s": waited_s, "wall_s": time.perf_counter() - began_s}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]))
