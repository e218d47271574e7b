"""Tests that outputs appear together or not at all, and never replace an input."""

import os
from pathlib import Path

import pytest

from dcsr import files
from dcsr.errors import ModelError


def write(paths, inputs=()):
    with files.Outputs(inputs) as outputs:
        for number, path in enumerate(paths):
            outputs.add(path, f"new {number}")
        outputs.prepare()
        outputs.commit()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_outputs_appear_with_the_mode_of_the_umask(tmp_path):
    umask = os.umask(0o027)
    try:
        write([tmp_path / "a", tmp_path / "b"])
    finally:
        os.umask(umask)
    assert names(tmp_path) == ["a", "b"]
    assert (tmp_path / "b").read_text() == "new 1"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("bad", ["no/such/folder/x", "folder", "x" * 300, "zero\0byte"])
def test_one_output_that_cannot_be_written_leaves_all_as_they_were(tmp_path, bad):
    (tmp_path / "folder").mkdir()
    (tmp_path / "a").write_text("old")
    with pytest.raises(ModelError, match="cannot be written"):
        write([tmp_path / "a", tmp_path / bad, tmp_path / "b"])
    assert names(tmp_path) == ["a", "folder"]
    assert (tmp_path / "a").read_text() == "old"


def test_rename_that_fails_undoes_the_others(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("old")
    real = os.replace

    def replace(source, target):
        if Path(target).name == "c":
            raise OSError(1, "not permitted")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(ModelError, match="c: cannot be written: not permitted"):
        write([tmp_path / "a", tmp_path / "b", tmp_path / "c"])
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_full_device_among_the_outputs_leaves_no_file(tmp_path):
    with pytest.raises(ModelError, match="/dev/full: cannot be written: No space"):
        write([tmp_path / "a", "/dev/full"])
    assert names(tmp_path) == []


def test_created_folders_go_with_a_call_that_fails(tmp_path):
    with files.Outputs() as outputs:
        outputs.folder(tmp_path / "new/inner")
        outputs.add(tmp_path / "new/inner/a", "x")
        outputs.prepare()
    assert names(tmp_path) == []


def test_an_input_is_never_an_output(tmp_path):
    source = tmp_path / "in"
    source.write_text("input")
    (tmp_path / "symlink").symlink_to("in")
    (tmp_path / "hardlink").hardlink_to(source)
    for name in ("in", "./in", "symlink", "hardlink"):
        with pytest.raises(ModelError, match="is an input"):
            write([tmp_path / name], [source])
    assert source.read_text() == "input"
    write(["/dev/null"], ["/dev/zero"])


def test_two_outputs_of_one_name_are_an_error(tmp_path):
    (tmp_path / "link").symlink_to("a")
    with pytest.raises(ModelError, match="two outputs"):
        write([tmp_path / "a", tmp_path / "link"])
    assert names(tmp_path) == ["link"]


def test_text_with_an_undecodable_file_name_can_be_written(tmp_path):
    files.write_file(tmp_path / "a", "name \udcff")
    assert (tmp_path / "a").read_text() == "name \\udcff"


def test_reading_stops_at_the_limit(tmp_path):
    (tmp_path / "a").write_bytes(bytes(100))
    assert len(files.read_bytes(tmp_path / "a", 100)) == 100
    for path in (tmp_path / "a", "/dev/zero"):
        with pytest.raises(ModelError, match="larger than 99 bytes"):
            files.read_bytes(path, 99)


def test_replacing_leaves_the_former_file_if_the_block_fails(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(ValueError), files.replacing(path) as temporary:
        temporary.write_text("half")
        raise ValueError
    assert names(tmp_path) == ["a"] and path.read_text() == "old"
    with files.replacing(path) as temporary:
        temporary.write_text("new")
    assert names(tmp_path) == ["a"] and path.read_text() == "new"
