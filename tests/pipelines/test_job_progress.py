import time

from asr.clips.plan import PlannedShard
from asr.clips.tally import Spoken, Tally
from asr.shards import ShardEntry
from pipelines import progress
from pipelines.progress import Progressed, reported
from pipelines.receipts import Receipt, finished

PLANNED = [PlannedShard(f"train/{n:05d}.parquet", n, 10, 1000) for n in range(4)]


def finish(home, shard, size_bytes=7):
    """The shard and its receipt, of an hour of speech; the receipt says 7 bytes."""
    path = home / shard.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size_bytes))
    entry = ShardEntry(shard.name, rows=10, frames=100, bytes=7, sha256="")
    Receipt(shard.name, entry, Tally(languages={"es": Spoken(10, 3600 * 16_000)}), []).write(str(home))


def test_shards_of_an_earlier_run_count_as_done_but_not_as_speed(tmp_path):
    finish(tmp_path, PLANNED[0])
    state = Progressed(str(tmp_path), PLANNED)
    assert state.n_before == 1
    assert str(state) == "1 of 4 shards after 0 s"


def test_speed_and_time_left_come_from_what_was_done_since_the_workers_were_up(tmp_path, monkeypatch):
    state = Progressed(str(tmp_path), PLANNED)
    began_s = state.began_s
    monkeypatch.setattr(progress.time, "monotonic", lambda: began_s + 50)
    state.poll()
    finish(tmp_path, PLANNED[0])
    finish(tmp_path, PLANNED[2])
    monkeypatch.setattr(progress.time, "monotonic", lambda: began_s + 60)
    state.poll()
    assert str(state) == "2 of 4 shards after 60 s, 2.00 h of speech, 720x real time, about 10 s left"


def test_a_shard_that_is_not_as_its_receipt_says_is_not_finished(tmp_path):
    finish(tmp_path, PLANNED[0])
    finish(tmp_path, PLANNED[1], size_bytes=3)
    finish(tmp_path, PLANNED[2])
    (tmp_path / PLANNED[2].name).unlink()
    assert [receipt.name for receipt in finished(str(tmp_path), PLANNED)] == [PLANNED[0].name]


def test_a_log_gets_a_line_now_and_then(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "POLL_S", 0.05)
    with reported(str(tmp_path), PLANNED):
        finish(tmp_path, PLANNED[0])
        time.sleep(0.5)
    assert "1 of 4 shards after" in capsys.readouterr().out
