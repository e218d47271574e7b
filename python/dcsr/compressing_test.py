"""Tests models that compress rejects, and files attached to models."""

import io
import zipfile

import numpy as np
import pytest

from dcsr import compressing
from dcsr import model as tflite
from dcsr.planning import choice
from dcsr.planning.settings import OBJECTIVES
from dcsr.schema import schema
from dcsr.testing.models import Builder, fully_connected_model, sparse_matrix, three_convolutions
from dcsr.testing.round_trip import UNBOUNDED, rng, round_trip, through_bytes

OP = schema.BuiltinOperator


@pytest.mark.parametrize("dtype,text", [(np.float32, "float32 weights"), (np.uint8, "uint8 weights")])
def test_models_that_are_not_int8_are_refused(dtype, text):
    builder = Builder()
    x = builder.tensor("x", (1, 8), dtype)
    weights = builder.tensor("dense/MatMul", (4, 8), dtype, data=np.zeros((4, 8), dtype))
    y = builder.tensor("y", (1, 4), dtype)
    builder.operator(OP.FULLY_CONNECTED, [x, weights, -1], [y], schema.FullyConnectedOptionsT())
    with pytest.raises(tflite.ModelError) as error:
        compressing.compress(through_bytes(builder.finish([x], [y])), "kws.tflite")
    message = f"kws.tflite: subgraph 0, tensor 1 'dense/MatMul': {text}; convert the model to int8 first"
    assert str(error.value).startswith(message)


def test_compressed_models_are_refused():
    model = fully_connected_model(rng(), sparse_matrix(rng(), 64, 128, 0.9))
    compressed, _ = round_trip(model)
    with pytest.raises(tflite.ModelError, match="compressed already"):
        compressing.compress(compressed, "m")
    with pytest.raises(tflite.ModelError, match="no compressed layers"):
        compressing.decompress(through_bytes(model), "m")


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("options", [{}, {"code": "all"}, {"cpu": "cortex-m3"}, {"smaller_only": False}])
def test_no_settings_are_planned_twice(objective, options, monkeypatch):
    """The cost of the bounds is reported from plans that exist already."""
    planned = []

    def decide(model, layers, found, settings, saves):
        # Plans that need not save bytes have another `saves`.
        planned.append((settings, saves and saves.__name__))
        return choice.decide(model, layers, found, settings, saves)

    monkeypatch.setattr(compressing, "decide", decide)
    compressing.compress(through_bytes(three_convolutions()), "m", objective=objective, **options)
    assert planned
    assert [one for number, one in enumerate(planned) if one in planned[:number]] == []


def test_files_attached_to_the_model_are_kept():
    """TFLite Metadata appends label files as a ZIP archive to the flatbuffer."""
    data = tflite.serialize(fully_connected_model(rng(), sparse_matrix(rng(), 64, 128, 0.9)))
    stream = io.BytesIO(data)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.txt", "yes\nno\n" * 50)
    compressed, (decision,), *_ = compressing.compress(tflite.parse(stream.getvalue(), "m"), "m", **UNBOUNDED)
    assert decision.packed
    result = tflite.serialize(compressed)
    back = tflite.serialize(compressing.decompress(tflite.parse(result, "c"), "c"))
    for form in (result, back):
        with zipfile.ZipFile(io.BytesIO(form)) as archive:
            assert archive.testzip() is None
            assert archive.read("labels.txt") == b"yes\nno\n" * 50
    assert back.startswith(data)


def test_a_damaged_archive_is_refused_by_every_python():
    """zipfile.is_zipfile is false for some of these models since Python 3.14, true before."""
    data = tflite.serialize(fully_connected_model(rng(), sparse_matrix(rng(), 64, 128, 0.9)))
    stream = io.BytesIO(data)
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("labels.txt", "yes\nno\n")
        archive.comment = b"labels"
    whole = stream.getvalue()
    assert tflite.split_archive(whole) == (data, whole[len(data) :])
    end = whole.rfind(b"PK\5\6")
    directory_bytes = whole[end + 12 : end + 16]
    for damaged in (
        whole.replace(b"PK\1\2", b"PK\1\3"),
        whole[: end + 10] + b"\2\0" + whole[end + 12 :],  # two entries, the directory has one
        whole[: end + 12] + bytes([directory_bytes[0] + 1]) + whole[end + 13 :],
        whole[: end + 12] + b"\xff\xff\xff\x7f" + whole[end + 16 :],
    ):
        with pytest.raises(tflite.ModelError, match="ZIP archive"):
            tflite.parse(damaged, "m")


def test_the_end_of_an_archive_is_no_archive():
    """A record that the end of the file cuts off, and one that is too far from the end to be followed by a comment."""
    data = tflite.serialize(fully_connected_model(rng(), sparse_matrix(rng(), 64, 128, 0.9)))
    for tail in (b"PK\5\6" + bytes(17), b"PK\5\6" + bytes(22 + 0x10000)):
        assert tflite.split_archive(data + tail) == (data + tail, b"")
