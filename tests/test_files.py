import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bopkit._files import objects, whole_file


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


KEYS = st.text("ab")


@given(st.recursive(st.none(), lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner)))
def test_every_object_is_found_once(document):
    assert len(list(objects(document))) == json.dumps(document).count("{")


def test_depth_is_no_limit():
    document = {}
    for _ in range(10_000):
        document = [{"in": document}]
    assert len(list(objects(document))) == 10_001
