"""What became of each planned shard: a small JSON beside it, written last, so that a job can go on where it was."""

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from asr import storage
from asr.clips.plan import PlannedShard
from asr.clips.tally import Tally
from asr.shards import ShardEntry
from asr.utterances import Rejected

SUFFIX = ".json"
# Reasons that a machine may be to blame for: a disk that is not mounted, no permission, PyAV that is missing.
MENDABLE = {"missing audio", "undecodable audio", "changed while read"}
REQUESTS = 16  # under way together, which an object store answers in the time of one
AT_ONCE = 256  # in memory


@dataclass(frozen=True)
class Receipt:
    """`entry` is None where no row of the shard could be used."""

    name: str
    entry: ShardEntry | None
    tally: Tally
    rejected: list[Rejected]

    @property
    def is_final(self) -> bool:
        """Whether another run would come to the same, as far as the row itself decides."""
        return not any(row.reason in MENDABLE for row in self.rejected)

    def write(self, home: str) -> None:
        content = {
            "name": self.name,
            "entry": self.entry and asdict(self.entry),
            "tally": self.tally.to_json(),
            "rejected": [asdict(row) for row in self.rejected],
        }
        storage.put_bytes(json.dumps(content).encode(), storage.join(home, self.name + SUFFIX))

    @classmethod
    def parse(cls, text: bytes) -> "Receipt":
        content = json.loads(text)
        entry = ShardEntry(**content["entry"]) if content["entry"] else None
        rejected = [Rejected(**row) for row in content["rejected"]]
        return cls(content["name"], entry, Tally.from_json(content["tally"]), rejected)


def read_receipts(home: str, planned: Iterable[PlannedShard]) -> Iterator[Receipt]:
    """The receipts of shards that all have one, in their order."""
    uris = [storage.join(home, shard.name + SUFFIX) for shard in planned]
    with ThreadPoolExecutor(REQUESTS) as pool:
        for first in range(0, len(uris), AT_ONCE):
            yield from map(Receipt.parse, pool.map(storage.read_bytes, uris[first : first + AT_ONCE]))


def forget(home: str, names: Iterable[str]) -> None:
    """Has the next run make these shards again."""
    for name in names:
        storage.remove(storage.join(home, name + SUFFIX))


def finished(home: str, planned: Iterable[PlannedShard]) -> Iterator[Receipt]:
    """The receipts that are there, of shards that lie beside them in full; of the others nothing is believed."""
    files = storage.below(home)
    for receipt in read_receipts(home, [shard for shard in planned if shard.name + SUFFIX in files]):
        lies_there = files.get(receipt.name)
        if receipt.entry is None or (lies_there and lies_there.size_bytes == receipt.entry.bytes):
            yield receipt
