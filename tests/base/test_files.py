"""Outs are whole or absent, and the same bytes every time."""

import errno
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wakeword.base import files
from wakeword.base.errors import UserError


@pytest.mark.parametrize("failure", [RuntimeError("defect"), KeyboardInterrupt()])
def test_a_failing_block_leaves_the_old_out_and_nothing_else(tmp_path: Path, failure: BaseException) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("old")
    with pytest.raises(type(failure)), files.replacing_folder(out) as temporary:
        (temporary / "new").write_text("half")
        raise failure
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in out.iterdir()] == ["old"]


def test_a_folder_takes_the_place_of_the_old_one_and_of_what_a_killed_run_left(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("old")
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / "rubbish").write_text("half")
    with files.replacing_folder(out) as temporary:
        (temporary / "new").write_text("new")
        assert (out / "old").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in out.iterdir()] == ["new"]


def test_a_rename_that_fails_gives_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("old")
    replace = Path.replace

    def fails_into_place(self: Path, target: Path) -> Path:
        if target == out and self.name == ".out.partial":
            raise OSError(errno.EIO, "input/output error")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fails_into_place)
    with pytest.raises(OSError, match="input/output"), files.replacing_folder(out) as temporary:
        (temporary / "new").write_text("new")
    assert [path.name for path in out.iterdir()] == ["old"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_a_place_that_cannot_be_written_is_named_with_a_remedy(tmp_path: Path, number: int) -> None:
    with (
        pytest.raises(UserError, match=rf"cannot write .*out: {os.strerror(number)}; ."),
        files.replacing(tmp_path / "out"),
    ):
        raise OSError(number, os.strerror(number))
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_a_folder_is_needed_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(UserError, match="move it away"):
        files.write_json(tmp_path / "data" / "cmvn.json", {})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    )
)
def test_json_comes_back_as_it_was_and_does_not_depend_on_the_order_of_keys(
    tmp_path_factory: pytest.TempPathFactory, value: object
) -> None:
    path = tmp_path_factory.getbasetemp() / "value.json"
    files.write_json(path, {"a": value, "b": 1})
    first = path.read_bytes()
    assert files.read_json(path) == {"a": value, "b": 1}
    files.write_json(path, {"b": 1, "a": value})
    assert path.read_bytes() == first


def test_floats_are_rounded_and_what_json_cannot_hold_is_refused(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a.json", {"x": [1 / 3, 1e-9 / 3]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": [0.333333, 3.33333e-10]}
    files.write_json(tmp_path / "a.json", [{"threshold": 2 / 3, "frr": 2 / 3}], exact=["threshold"])
    assert json.loads((tmp_path / "a.json").read_text()) == [{"threshold": 2 / 3, "frr": 0.666667}]
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "b.json", {"x": float("nan")})
    assert not (tmp_path / "b.json").exists()


def test_a_missing_or_damaged_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.json is missing; run the stage"):
        files.read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_bytes(b"{\xff")
    with pytest.raises(UserError, match=r"cannot read .*a\.json"):
        files.read_json(tmp_path / "a.json")
    with pytest.raises(UserError, match=r"b\.npy is missing"):
        files.hash_files([tmp_path / "b.npy"])
