"""Files and locks in an object store: a real S3 server on loopback, its conditions and its multipart uploads."""

import hashlib
import itertools
import threading
import time

import fsspec
import pytest

from curation import stores
from curation.errors import LockedOutputError, OutputError
from curation.failures import store_failures, told
from curation.files import committing, locked, read_json, write_json
from curation.hashing import file_sha256
from curation.images import read_pointers
from curation.shards.tar import Sample, read_members, write_shard
from tests.s3_server import server

SAMPLES = [Sample(f"{n:032x}", "jpg", bytes([n]) * (3 << 20), "a dog", {"n": n}) for n in range(8)]


def store():
    return fsspec.filesystem("s3", use_listings_cache=False)


def uploads(bucket: str) -> list:
    return store().call_s3("list_multipart_uploads", Bucket=bucket.removeprefix("s3://")).get("Uploads", [])


def names(bucket: str) -> list[str]:
    return sorted(path.partition("/")[2] for path in store().find(bucket))


def test_a_file_appears_whole_at_the_end_of_its_block(bucket):
    with committing(f"{bucket}/a/b.json") as file:
        file.write(b"{}")
        assert names(bucket) == []
    assert names(bucket) == ["a/b.json"]
    assert read_json(f"{bucket}/a/b.json") == {}
    write_json(f"{bucket}/a/b.json", {"again": 1})  # what this process itself replaces is no rival's
    assert read_json(f"{bucket}/a/b.json") == {"again": 1}


def test_a_shard_is_uploaded_in_parts_and_holds_the_same_bytes_as_a_local_one(bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "PART_BYTES", 5 << 20)  # the least that S3 takes
    with committing(f"{bucket}/00000000.tar") as file:
        record = write_shard(file.file, SAMPLES)
        assert len(uploads(bucket)) == 1 and names(bucket) == []
        file.wrote(record.bytes, record.sha256)
    assert uploads(bucket) == []
    with committing(str(tmp_path / "0.tar")) as local:
        write_shard(local.file, SAMPLES)
    assert file_sha256(f"{bucket}/00000000.tar") == record.sha256 == file_sha256(str(tmp_path / "0.tar"))
    data = store().cat_file(f"{bucket}/00000000.tar")
    pointers = [{"uri": f"{bucket}/00000000.tar", "offset": m.offset, "length": m.bytes} for m in read_members(data)]
    assert list(read_pointers(pointers)) == [data[p["offset"] : p["offset"] + p["length"]] for p in pointers]


def test_nothing_appears_and_no_part_stays_where_the_block_raises(bucket, monkeypatch):
    monkeypatch.setattr(stores, "PART_BYTES", 5 << 20)
    with pytest.raises(ValueError, match="no more"), committing(f"{bucket}/a.tar") as file:
        write_shard(file.file, SAMPLES)
        assert len(uploads(bucket)) == 1
        raise ValueError("no more")
    del file
    assert names(bucket) == [] and uploads(bucket) == []


@pytest.mark.parametrize("size", [10, 6 << 20])
def test_of_two_writers_the_later_one_loses_unless_its_bytes_are_the_same(bucket, size, monkeypatch):
    monkeypatch.setattr(stores, "PART_BYTES", 5 << 20)
    uri = f"{bucket}/part.parquet"
    with pytest.raises(OutputError, match=r"part\.parquet: .*other bytes"), committing(uri) as late:
        late.write(b"b" * size)
        with committing(uri) as first:
            first.write(b"a" * size)
    assert store().cat_file(uri) == b"a" * size and uploads(bucket) == []
    store().rm(uri)
    with committing(uri) as late:
        late.write(b"a" * size)
        with committing(uri) as first:
            first.write(b"a" * size)
    assert late.hexdigest == hashlib.sha256(b"a" * size).hexdigest() == file_sha256(uri)


def test_what_replaces_an_older_file_loses_to_whoever_replaced_it_meanwhile(bucket):
    uri = f"{bucket}/pool.json"
    write_json(uri, 1)
    with pytest.raises(OutputError), committing(uri) as late:
        late.write(b"2")
        write_json(uri, 3)
    assert read_json(uri) == 3


def test_a_folder_is_held_by_one_at_a_time(bucket, monkeypatch, capsys):
    monkeypatch.setattr(stores, "RENEW_S", 0.05)
    folder = f"{bucket}/out"
    with locked(folder, wait=False):
        assert names(bucket) == ["out/lock"]
        with (
            pytest.raises(LockedOutputError, match=r"out is being written by process \d+ on "),
            locked(folder, wait=False),
        ):
            pass
        waited = []

        def other():
            with locked(folder, wait=True):
                waited.append(time.monotonic())

        rival = threading.Thread(target=other)
        rival.start()
        time.sleep(0.5)
        assert waited == []
    rival.join(30)
    assert waited and names(bucket) == []
    assert "looking whether it lives" in capsys.readouterr().err


def test_a_lease_outlives_a_renewal_whose_answer_was_lost(bucket, monkeypatch):
    monkeypatch.setattr(stores, "RENEW_S", 0.05)
    really, lost = stores.put, []

    def losing(file_system, path, text, condition):
        tag = really(file_system, path, text, condition)
        if tag and condition.get("IfMatch") and len(lost) < 2:  # sent again by itself, or by the next renewal
            lost.append(tag)
            if len(lost) == 1:
                return really(file_system, path, text, condition)
            raise OSError("no answer")
        return tag

    monkeypatch.setattr(stores, "put", losing)
    with locked(f"{bucket}/out", wait=False):
        latest = time.monotonic() + 20
        while len(lost) < 2 or store().info(f"{bucket}/out/lock")["ETag"] in lost:
            assert time.monotonic() < latest
            time.sleep(0.05)
    assert names(bucket) == []


def test_a_store_that_does_not_answer_is_told_in_a_sentence(bucket):
    import s3fs

    once = {"retries": {"max_attempts": 0}}
    silent = s3fs.S3FileSystem(endpoint_url="http://127.0.0.1:9", skip_instance_cache=True, config_kwargs=once)
    silent.retries = 1
    with pytest.raises(OSError, match="Could not connect"):
        stores.put(silent, "bucket/lock", b"", {})
    with pytest.raises(store_failures()) as caught:
        silent.ls("bucket")
    assert str(told(caught.value)).startswith("the object store does not answer: Could not connect")


def test_the_lock_of_a_dead_process_is_taken_over_when_nobody_touches_it(bucket, monkeypatch):
    monkeypatch.setattr(stores, "LEASE_S", 0.5)
    store().pipe_file(f"{bucket}/out/lock", b'{"holder": "process 1 on another machine", "id": "0"}')
    started = time.monotonic()
    with stores.leased(f"{bucket}/out", "me", wait=False, lease_s=0.5):
        assert time.monotonic() - started >= 0.5
        assert b'"me"' in store().cat_file(f"{bucket}/out/lock")
    assert names(bucket) == []


def test_the_clock_on_the_wall_has_no_say_in_a_lease(bucket, monkeypatch):
    """Set back a year whenever anyone looks at it, while one waits for a dead process and one for a living one."""
    years = itertools.count(1)
    monkeypatch.setattr(time, "time", lambda: 2e9 - next(years) * 31_556_952)
    monkeypatch.setattr(time, "time_ns", lambda: int(time.time() * 1e9))
    monkeypatch.setattr(stores, "RENEW_S", 0.05)
    store().pipe_file(f"{bucket}/out/lock", b'{"holder": "process 1 on another machine", "id": "0"}')
    began, held = time.monotonic(), []

    def hold():
        with stores.leased(f"{bucket}/out", "me", wait=True, lease_s=0.5):
            held.append(time.monotonic())
            time.sleep(1)  # twice as long as a lease lasts untouched

    holders = [threading.Thread(target=hold, daemon=True) for _ in range(2)]
    for holder in holders:
        holder.start()
    for holder in holders:
        holder.join(30)
    assert not any(holder.is_alive() for holder in holders) and names(bucket) == []
    assert held[0] - began >= 0.5 and held[1] - held[0] >= 1


def test_a_store_that_does_not_hear_conditions_is_told(bucket, monkeypatch, capsys):
    said = f"{bucket}/out: this store ignores If-None-Match: start one run at a time there\n"
    for deaf in (True, False):
        monkeypatch.setattr(server(), "deaf", deaf)
        with locked(f"{bucket}/out", wait=False):
            assert capsys.readouterr().err == (said if deaf else "")
        assert names(bucket) == []


def test_pictures_that_are_not_there_cost_only_themselves(bucket):
    store().pipe_file(f"{bucket}/a", b"0123456789")
    asked = [("a", 2, 3), ("b", 0, 3), ("a", 8, 9), ("a", 20, 9), ("a", 4, None), ("a", 0, 0), ("a", -1, 2)]
    pointers = [{"uri": f"{bucket}/{name}", "offset": offset, "length": length} for name, offset, length in asked]
    found = [item if isinstance(item, bytes) else item.code for item in read_pointers(pointers)]
    assert found == [b"234", "missing_file", "truncated_file", "truncated_file", b"456789", b"", "no_image"]
    assert [item.code for item in read_pointers([{"uri": f"{bucket}/a"}], 5)] == ["too_large"]
