"""The verbs of asr.storage, on this machine and on both object stores."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from asr import storage
from asr.errors import UserError
from asr.storage import Absent, Stored

pytest_plugins = ["tests.emulators"]

NAMES = ["plain.wav", "a b.wav", "größe नमस्ते.wav", "a+b.wav", "a#1.wav", "a?b.wav", "50%20.wav", "a:b.wav", "x*[1].wav"]


@pytest.fixture(params=["here", "gs", "s3"])
def root(request, tmp_path):
    """An empty folder of this machine, or an empty prefix in each of both stores."""
    return str(tmp_path / "root") if request.param == "here" else request.getfixturevalue(request.param)


def test_a_uri_has_a_scheme_that_we_know_and_all_else_is_a_path():
    assert [storage.is_remote(path) for path in ("gs://b/x", "s3://b/x")] == [True, True]
    assert not any(map(storage.is_remote, ["a:b.wav", "s3:/b/x", "http://b/x", "/s3/x", "s3", Path("gs:/b/x")]))


@pytest.fixture
def store_account(no_credentials, monkeypatch):
    """An account for S3; Google's stand-in asks for none."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_written_listed_and_read(root, name):
    uri = storage.join(root, name)
    storage.put_bytes(name.encode(), uri)
    assert storage.read_bytes(uri) == name.encode()
    with storage.open_read(uri) as file:
        file.seek(1)
        assert file.read() == name.encode()[1:]
    (found,) = storage.stored([uri]).values()
    assert isinstance(found, Stored) and found.size_bytes == len(name.encode())
    assert list(storage.below(root)) == [name]


def test_files_are_put_whole_and_the_local_one_is_gone(root, tmp_path):
    local = tmp_path / "local"
    local.write_bytes(b"12345")
    storage.put(local, storage.join(root, "deep/er.bin"))
    assert not local.exists()
    assert {name: entry.size_bytes for name, entry in storage.below(root).items()} == {"deep/er.bin": 5}


def test_a_file_larger_than_a_request_is_put_and_read_in_parts(store, tmp_path, monkeypatch):
    content = os.urandom(6 * 2**20)
    (tmp_path / "large").write_bytes(content)
    storage.put(tmp_path / "large", uri := storage.join(store, "large"))
    monkeypatch.setattr(storage, "CHUNK_BYTES", 2 * 2**20)  # the size is a multiple of it, so the last read is empty
    assert storage.read_bytes(uri) == content
    with storage.open_parts(uri) as file:
        file.seek(5_000_000)
        assert file.read(10) == content[5_000_000:5_000_010]


def test_a_large_upload_has_several_parts(s3, tmp_path, monkeypatch):
    sent = []
    original = type(storage.file_system(s3))._call_s3

    async def recorded(self, method, *args, **kwargs):
        sent.append(method)
        return await original(self, method, *args, **kwargs)

    monkeypatch.setattr(type(storage.file_system(s3)), "_call_s3", recorded)
    (tmp_path / "large").write_bytes(bytes(2 * storage.PART_BYTES + 1))
    storage.put(tmp_path / "large", storage.join(s3, "large"))
    assert sent == ["create_multipart_upload", *["upload_part"] * 3, "complete_multipart_upload"]


def test_an_empty_file_has_no_bytes(root):
    uri = storage.join(root, "empty")
    storage.put_bytes(b"", uri)
    assert storage.read_bytes(uri) == b""


def test_what_is_not_there_is_absent_and_reading_it_an_os_error(root):
    uri = storage.join(root, "none")
    assert storage.below(root) == {}
    assert all(isinstance(found, Absent) for found in storage.stored([uri, storage.join(root, "none2")]).values())
    with pytest.raises(FileNotFoundError, match="none"):
        storage.open_read(uri)
    with pytest.raises(FileNotFoundError, match="none"):
        storage.open_parts(uri)


def test_a_folder_is_no_file_and_a_neighbour_of_the_same_beginning_is_not_in_it(root):
    storage.put_bytes(b"x", storage.join(root, "a/b"))
    storage.put_bytes(b"x", storage.join(root, "ab"))
    found = storage.stored([storage.join(root, "a"), storage.join(root, "ab")])
    assert [type(entry) for entry in found.values()] == [Absent, Stored]
    assert list(storage.below(storage.join(root, "a"))) == ["b"]
    assert [storage.is_folder(storage.join(root, name)) for name in ("a", "a/", "ab", "none")] == [
        True,
        True,
        False,
        False,
    ]


def test_listings_are_never_stale(root):
    uris = [storage.join(root, name) for name in ("a", "b")]
    storage.put_bytes(b"1", uris[0])
    before = storage.stored(uris)
    storage.put_bytes(b"2", uris[0])
    storage.put_bytes(b"1", uris[1])
    after = storage.stored(uris)
    assert before[uris[0]] != after[uris[0]]
    assert isinstance(before[uris[1]], Absent) and isinstance(after[uris[1]], Stored)
    assert list(storage.below(root)) == ["a", "b"]


def test_one_folder_is_one_request(s3, monkeypatch):
    uris = [storage.join(s3, f"{n}.wav") for n in range(20)]
    for uri in uris:
        storage.put_bytes(b"x", uri)
    files, asked = storage.file_system(s3), []
    monkeypatch.setattr(
        files, "ls", lambda folder, detail, ls=files.ls: asked.append(folder) or ls(folder, detail=detail)
    )
    assert all(isinstance(found, Stored) for found in storage.stored(uris).values())
    assert asked == [s3]


def test_threads_share_a_client(store):
    uris = [storage.join(store, str(n)) for n in range(32)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(storage.put_bytes, [uri.encode() for uri in uris], uris))
        assert list(pool.map(storage.read_bytes, uris)) == [uri.encode() for uri in uris]
        assert len(set(pool.map(lambda uri: id(storage.file_system(uri)), uris))) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="NO FORK HERE, so that forked workers stay untested")
def test_a_forked_process_gets_a_client_of_its_own(store):
    storage.put_bytes(b"x", uri := storage.join(store, "x"))
    with ThreadPoolExecutor() as pool:
        list(pool.map(storage.read_bytes, [uri] * 4))
    child = os.fork()
    if child == 0:
        threading.Timer(20, os._exit, [1]).start()
        os._exit(0 if storage.read_bytes(uri) == b"x" else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert storage.read_bytes(uri) == b"x"


def test_a_bucket_that_is_not_there_is_one_line_when_it_is_written_to(store):
    uri = f"{store.partition(':')[0]}://no-such-bucket/x"
    with pytest.raises(
        UserError, match=f"^{uri}: there is no such object, or no such bucket; check its name"
    ) as caught:
        storage.put_bytes(b"x", uri)
    assert "\n" not in str(caught.value)
    assert storage.stored([uri]) == {uri: Absent("there is no such object, or no such bucket")}


def test_a_bucket_is_no_file(store):
    bucket = store.rpartition("/")[0]
    assert storage.stored([bucket]) == {bucket: Absent("it names a bucket and no object in it")}


def test_a_store_that_cannot_be_reached_is_one_line_without_secrets(s3, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(
        UserError, match=r"^s3://corpora/\w+: the store cannot be reached; is AWS_ENDPOINT_URL right\?"
    ) as caught:
        storage.stored([f"{s3}/x"])
    assert "\n" not in str(caught.value) and "test-secret" not in str(caught.value)


@contextmanager
def refusing(status, body, monkeypatch):
    """A store that answers everything so, as the one that both clients talk to."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body.encode())

        do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()


def refusal(scheme, status, code, message):
    if scheme == "gs":
        return f'{{"error": {{"code": {status}, "message": "{message}"}}}}'
    return f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"


@pytest.mark.parametrize(
    ("scheme", "status", "code"), [("gs", 401, ""), ("s3", 403, "InvalidAccessKeyId"), ("s3", 400, "ExpiredToken")]
)
def test_an_account_that_is_not_valid_is_one_line_with_the_remedy(store_account, monkeypatch, scheme, status, code):
    with refusing(status, refusal(scheme, status, code, "The key test-secret is wrong"), monkeypatch):
        for act in (storage.read_bytes, lambda uri: storage.put_bytes(b"x", uri), storage.below):
            with pytest.raises(
                UserError, match=f"^{scheme}://b/x: no valid credentials for {scheme}://; give"
            ) as caught:
                act(f"{scheme}://b/x")
            assert "test-secret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["gs", "s3"])
def test_an_object_that_may_not_be_read_is_absent_and_one_that_may_not_be_written_an_error(
    store_account, monkeypatch, scheme
):
    uris = [f"{scheme}://b/x", f"{scheme}://b/y"]
    with refusing(403, refusal(scheme, 403, "AccessDenied", "no"), monkeypatch):
        assert {*storage.stored(uris).values()} == {Absent("this account has no permission for it")}
        assert {*storage.stored(uris[:1]).values()} == {Absent("this account has no permission for it")}
        with pytest.raises(PermissionError):
            storage.open_read(uris[0])
        with pytest.raises(UserError, match="no permission for it; check"):
            storage.put_bytes(b"x", uris[0])


def test_without_an_account_the_line_says_how_to_get_one(no_credentials):
    with pytest.raises(UserError, match=r"^s3://b: no valid credentials for s3://; give some: `aws configure`"):
        storage.stored(["s3://b/x"])


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(UserError, match=r"s3://b/x: s3:// needs the extra aws: pip install '\.\[aws\]'"):
        storage.read_bytes("s3://b/x")
