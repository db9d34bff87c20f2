import json
import os
import socket
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bopkit._support.files import objects, only_one, output_folder, whole_file
from bopkit.errors import ConfigError, DataError


def test_a_file_that_fails_leaves_the_old_one_and_nothing_beside_it(tmp_path):
    path = tmp_path / "it.bin"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), whole_file(path) as file:
        file.writelines([b"half of the new", None])
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
    with whole_file(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("umask", [0o077, 0o022, 0o002])
def test_a_file_has_the_permissions_that_the_umask_leaves(tmp_path, umask):
    before = os.umask(umask)
    try:
        with whole_file(tmp_path / "it"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "it").stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe", "socket", "folder"])
def test_a_lock_that_is_no_ordinary_file_is_one_line_and_nothing_is_touched(tmp_path, kind):
    lock, mine = tmp_path / ".lock", tmp_path / "mine"
    mine.write_text("mine")
    if kind == "pipe":
        os.mkfifo(lock)
    elif kind == "folder":
        lock.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(lock))
    else:
        lock.symlink_to(mine if kind == "link" else tmp_path / "new")
    with pytest.raises(DataError, match="remove it") as caught, only_one(lock, DataError("busy")):
        raise AssertionError("it was locked")
    assert str(lock) in str(caught.value) and "\n" not in str(caught.value)
    assert mine.read_text() == "mine" and not (tmp_path / "new").exists()


def test_what_a_lock_holds_stays(tmp_path):
    (tmp_path / ".lock").write_text("a note")
    lock = tmp_path / ".lock"
    with only_one(lock, DataError("busy")), pytest.raises(DataError, match="busy"):  # noqa: SIM117
        with only_one(lock, DataError("busy")):
            raise AssertionError("it was locked twice")
    assert (tmp_path / ".lock").read_text() == "a note"


def test_the_name_of_a_folder_to_write_to(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert output_folder("~/runs") == tmp_path / "runs"
    assert output_folder(tmp_path / "a:b") == tmp_path / "a:b"
    for address in ("gs://bucket/run", "s3:/bucket", "file:///run", "HDFS://host/run"):
        with pytest.raises(ConfigError, match="got the address"):
            output_folder(address)
    with pytest.raises(ConfigError, match="no home folder is known for ~nosuchuser"):
        output_folder("~nosuchuser/run")


KEYS = st.text("ab")


@given(st.recursive(st.none(), lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner)))
def test_every_object_is_found_once(document):
    assert len(list(objects(document))) == json.dumps(document).count("{")


def test_depth_is_no_limit():
    document = {}
    for _ in range(10_000):
        document = [{"in": document}]
    assert len(list(objects(document))) == 10_001
