"""Tests that small array files need little memory, and that damaged ones give one error."""

import io
import zipfile

import numpy as np
import pytest
from numpy.lib import format as npy

from dcsr import arrays
from dcsr.errors import ModelError


def header(shape, descr="|i1") -> bytes:
    file = io.BytesIO()
    npy.write_array_header_2_0(file, {"shape": shape, "fortran_order": False, "descr": descr})
    return file.getvalue()


@pytest.mark.parametrize("shape", [(1 << 40, 3), (1 << 62, 1 << 62), (-1, 5), (1000, 1000), ("a", 1), (True, 2)])
def test_shape_that_the_file_does_not_hold_is_an_error(tmp_path, shape):
    (tmp_path / "a.npy").write_bytes(header(shape) + bytes(50))
    with pytest.raises(ModelError, match=r"a\.npy: not a \.npy file of numbers"):
        arrays.read_npy(tmp_path / "a.npy")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", header(shape) + bytes(50))
    with pytest.raises(ModelError, match=r"a\.npz: not an \.npz file of numbers"):
        arrays.read_npz(tmp_path / "a.npz")
    for name in ("a.npy", "a.npz"):
        with pytest.raises(ModelError, match="not an .npz or .npy file of numbers"):
            arrays.read(tmp_path / name)


def test_arrays_of_every_version_and_order(tmp_path):
    matrix = np.arange(12, dtype=np.int16).reshape(3, 4)
    for array in (matrix, np.asfortranarray(matrix), matrix[:0], matrix[0, 0]):
        np.save(tmp_path / "a.npy", array)
        np.testing.assert_array_equal(arrays.read_npy(tmp_path / "a.npy"), array)
    (tmp_path / "two.npy").write_bytes(header((3, 4), "<i2") + matrix.tobytes())
    np.testing.assert_array_equal(arrays.read_npy(tmp_path / "two.npy"), matrix)
    np.savez_compressed(tmp_path / "b.npz", x=matrix, y=matrix[0])
    read = arrays.read_npz(tmp_path / "b.npz")
    assert list(read) == ["x", "y"]
    np.testing.assert_array_equal(read["x"], matrix)
    either = arrays.read(tmp_path / "b.npz")
    assert isinstance(either, dict) and list(either) == ["x", "y"]
    np.testing.assert_array_equal(arrays.read(tmp_path / "two.npy"), matrix)


def test_archive_that_expands_too_far_is_an_error(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("x.npy", header((80 << 20,)) + bytes(80 << 20))
    with pytest.raises(ModelError, match="take more than"):
        arrays.read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize("position", range(0, 130, 3))
def test_damaged_headers_are_errors_or_arrays(tmp_path, position):
    np.save(tmp_path / "a.npy", np.zeros((3, 4), np.int8))
    content = bytearray((tmp_path / "a.npy").read_bytes())
    for value in (0, 0x28, 0xFF):
        content[position] = value
        (tmp_path / "a.npy").write_bytes(content)
        try:
            arrays.read_npy(tmp_path / "a.npy")
        except ModelError as error:
            assert "a.npy" in str(error)
