"""Reads and writes .tflite files without loss.

A flatbuffer is parsed into objects of the generated object API and serialised from them. The object API silently drops
fields that it does not know, so `parse` rejects models with such fields.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from typing import Any

import flatbuffers
import numpy as np

from dcsr import structure
from dcsr.errors import ModelError as ModelError
from dcsr.files import read_bytes as read_bytes
from dcsr.files import replacing as replacing
from dcsr.files import write_file as write_file
from dcsr.schema import enum_name, schema
from dcsr.sharing_builder import SharingBuilder

FILE_IDENTIFIER = b"TFL3"
BUFFER_ALIGNMENT = 16
_MAX_ELEMENTS = (1 << 31) - 1  # of a tensor; TFLM counts them in int
_WEIGHTED = {
    schema.BuiltinOperator.CONV_2D,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D,
    schema.BuiltinOperator.FULLY_CONNECTED,
}

# The record that ends a ZIP archive, and the longest comment behind it.
_ARCHIVE_END_BYTES = 22
_MAX_COMMENT_BYTES = 0xFFFF


def read(path: str | os.PathLike[str]) -> schema.ModelT:
    """Reads the model file at `path`.

    Raises:
      ModelError: if the file cannot be read, or as parse().
    """
    return parse(read_bytes(path), str(path))


def parse(data: bytes, name: str) -> schema.ModelT:
    """Parses a .tflite file. Follows every vector and offset of the schema, so it detects truncated files.

    Args:
      data: content of the file.
      name: name of the model in error messages.

    Returns:
      The model. Its attribute `attached_archive` holds the files attached behind the flatbuffer, for `serialize`.

    Raises:
      ModelError: if `data` is not a TFLite model, is damaged, or has fields that would be lost.
    """
    if len(data) < 8 or data[4:8] != FILE_IDENTIFIER:
        raise ModelError(f"{name}: not a TFLite model (no TFL3 identifier)")
    try:
        data, archive = split_archive(data)
        structure.check(data)
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
        check_references(model)
    except structure.NewerField as field:
        raise ModelError(
            f"{name}: {field} is newer than the schema of the installed tflite-micro and would be lost; a newer"
            " tflite-micro is needed"
        ) from field
    except (struct.error, LookupError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise ModelError(f"{name}: truncated or damaged TFLite model ({error})") from error
    model.attached_archive = archive
    for index, buffer in enumerate(model.buffers):
        if buffer.offset > 1 or buffer.size > 1:
            raise ModelError(
                f"{name}: buffer {index} lies behind the flatbuffer, where TFLM cannot read it; convert the model with"
                " its buffers inside (files above 2 GB cannot have that)"
            )
    for where, operator in operators(model):
        if operator.largeCustomOptionsOffset > 1:
            raise ModelError(
                f"{name}: {where}: its custom options lie behind the flatbuffer, where TFLM cannot read them"
            )
    return model


def serialize(model: schema.ModelT) -> bytes:
    """Returns the content of a .tflite file: flatbuffer, then the attached files.

    Buffers are aligned to 16 bytes, as the schema asks, or as their attribute `alignment` says (passes/strip.py).
    Equal parts of the flatbuffer are stored once, except in a file that would then look like a bomb to `parse`.
    """
    size = sum(len(b.data) for b in model.buffers if b.data is not None)
    builder = SharingBuilder(size + size // 8 + 65536)
    flatbuffer = _flatbuffer(model, builder)
    if not structure.in_proportion(len(flatbuffer), len(flatbuffer) + builder.spared_bytes, builder.tables):
        flatbuffer = _flatbuffer(model, flatbuffers.Builder(size + size // 8 + 65536))
    return _with_archive(flatbuffer, getattr(model, "attached_archive", b""))


def _flatbuffer(model: schema.ModelT, builder: flatbuffers.Builder) -> bytes:
    buffers = model.buffers
    model.buffers = [_AlignedBuffer(b) for b in buffers]
    try:
        builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    finally:
        model.buffers = buffers
    return bytes(builder.Output())


def split_archive(data: bytes) -> tuple[bytes, bytes]:
    """Splits a file into the flatbuffer and the ZIP archive behind it (labels, vocabularies: TFLite Metadata).

    Returns:
      (flatbuffer, archive); the archive is empty if the file has none.

    Raises:
      ValueError: if the archive is damaged.
    """
    if _archive_end(data) < 0:
        return data, b""
    entries, shift = _archive_entries(data)
    start = min((offset + shift for _, offset in entries), default=len(data))
    if not 0 < start:
        raise ValueError("the ZIP archive behind it is damaged")
    return data[:start], data[start:]


def _archive_end(data: bytes) -> int:
    """Returns the position of the last record of the ZIP archive at the end of `data`, -1 without one.

    zipfile.is_zipfile does not serve: since Python 3.14 it is also false for an archive whose directory is damaged.
    """
    end = data.rfind(b"PK\5\6", max(0, len(data) - _ARCHIVE_END_BYTES - _MAX_COMMENT_BYTES))
    return end if end + _ARCHIVE_END_BYTES <= len(data) else -1


def _archive_entries(data: bytes) -> tuple[list[tuple[int, int]], int]:
    """Reads the directory of the ZIP archive at the end of `data`. The archived files themselves are not read.

    Returns:
      ([(position in `data` of an entry's offset field, value of that field)], distance that turns such an offset into
      a position in `data`).
    """
    end = _archive_end(data)
    count, size, offset = struct.unpack_from("<H2I", data, end + 10)
    position = end - size
    shift = position - offset
    entries = []
    for _ in range(count):
        if position < 0 or data[position : position + 4] != b"PK\1\2":
            raise ValueError("the ZIP archive behind it is damaged")
        lengths = struct.unpack_from("<3H", data, position + 28)
        entries.append((position + 42, struct.unpack_from("<I", data, position + 42)[0]))
        position += 46 + sum(lengths)
    return entries, shift


def _with_archive(data: bytes, archive: bytes) -> bytes:
    """Undoes split_archive. Adjusts the archive's offsets, which count from the start of the file."""
    if not archive:
        return data
    entries, shift = _archive_entries(archive)
    placed = bytearray(archive)
    for position, offset in entries:
        struct.pack_into("<I", placed, position, offset + shift + len(data))
    end = _archive_end(archive)
    directory = end - struct.unpack_from("<I", placed, end + 12)[0]
    struct.pack_into("<I", placed, end + 16, directory + len(data))
    return data + bytes(placed)


def builtin_code(model: schema.ModelT, operator: schema.OperatorT) -> int:
    """Returns the operator's builtin code. Old models set only the deprecated field."""
    code = model.operatorCodes[operator.opcodeIndex]
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))


def operator_name(model: schema.ModelT, operator: schema.OperatorT) -> str:
    """Returns the name of a builtin operator, or the custom code of a custom operator."""
    code = builtin_code(model, operator)
    if code == schema.BuiltinOperator.CUSTOM:
        return text(model.operatorCodes[operator.opcodeIndex].customCode)
    return enum_name(schema.BuiltinOperator, code)


def text(name: bytes | str | None) -> str:
    """Converts a string of the object API for printing."""
    return name.decode(errors="replace") if isinstance(name, bytes) else name or ""


def operators(model: schema.ModelT) -> Iterator[tuple[str, schema.OperatorT]]:
    """Yields (place in the model for messages, operator) for each operator of all subgraphs."""
    for s, subgraph in enumerate(model.subgraphs):
        for o, operator in enumerate(subgraph.operators or []):
            yield f"subgraph {s}, operator {o}", operator


class _AlignedBuffer(schema.BufferT):  # type: ignore[misc]
    """A BufferT with aligned data. The schema asks for it (force_align), but the generated Pack does not do it."""

    def __init__(self, buffer: schema.BufferT) -> None:
        super().__init__(buffer.data, buffer.offset, buffer.size)
        self._alignment = getattr(buffer, "alignment", BUFFER_ALIGNMENT)

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 (generated name)
        """Writes the buffer and returns its offset."""
        data = None
        if self.data is not None:
            content = bytes(self.data)
            builder.StartVector(1, len(content), self._alignment)
            builder.head -= len(content)
            builder.Bytes[builder.head : builder.head + len(content)] = content
            data = builder.EndVector()
        schema.BufferStart(builder)
        if data is not None:
            schema.BufferAddData(builder, data)
        schema.BufferAddOffset(builder, self.offset)
        schema.BufferAddSize(builder, self.size)
        return int(schema.BufferEnd(builder))


def check_references(model: schema.ModelT) -> None:
    """Checks that every index is in range and that no required table is missing.

    Raises:
      IndexError, TypeError: if not.
    """
    for required in (model.operatorCodes, model.subgraphs, model.buffers):
        if required is None or any(entry is None for entry in required):
            raise IndexError("a required table is missing")
    if not model.subgraphs:
        raise IndexError("there are no subgraphs")
    for index in [] if model.metadataBuffer is None else model.metadataBuffer:
        if not 0 <= index < len(model.buffers):
            raise IndexError(f"there is no buffer {index}")
    for signature in model.signatureDefs or []:
        if not 0 <= signature.subgraphIndex < len(model.subgraphs):
            raise IndexError(f"there is no subgraph {signature.subgraphIndex}")
        tensors = model.subgraphs[signature.subgraphIndex].tensors or []
        for tensor_map in [*(signature.inputs or []), *(signature.outputs or [])]:
            if not 0 <= tensor_map.tensorIndex < len(tensors):
                raise IndexError(f"there is no tensor {tensor_map.tensorIndex}")
    for subgraph in model.subgraphs:
        tensors = subgraph.tensors or []
        for tensor in tensors:
            if not 0 <= tensor.buffer < len(model.buffers):
                raise IndexError(f"tensor '{text(tensor.name)}' has no buffer {tensor.buffer}")
            dimensions = [] if tensor.shape is None else [max(int(d), 1) for d in tensor.shape]
            if math.prod(dimensions) > _MAX_ELEMENTS:
                raise ValueError(f"tensor '{text(tensor.name)}' has the impossible shape {dimensions[:8]}")
        if subgraph.outputs is None:
            raise IndexError("a subgraph has no outputs")
        lists: list[tuple[str, Any]] = [("", subgraph.inputs), ("", subgraph.outputs)]
        for operator in subgraph.operators or []:
            if operator.outputs is None:
                raise IndexError("an operator has no outputs")
            if not 0 <= operator.opcodeIndex < len(model.operatorCodes):
                raise IndexError(f"there is no operator code {operator.opcodeIndex}")
            if builtin_code(model, operator) in _WEIGHTED:
                inputs = [] if operator.inputs is None else list(operator.inputs)
                if not inputs or inputs[0] < 0 or not len(operator.outputs):
                    raise IndexError(f"{operator_name(model, operator)} without input or output")
            lists += [
                ("input", operator.inputs),
                ("output", operator.outputs),
                ("intermediate", operator.intermediates),
            ]
        for role, indices in lists:
            # Only an input of an operator may be left out, which -1 stands for.
            first = -1 if role == "input" else 0
            for index in () if indices is None else indices:
                if not first <= index < len(tensors):
                    raise IndexError(f"there is no tensor {index}")
    for entry in model.metadata or []:
        if not 0 <= entry.buffer < len(model.buffers):
            raise IndexError(f"metadata '{text(entry.name)}' has no buffer {entry.buffer}")


def is_constant(model: schema.ModelT, tensor: schema.TensorT) -> bool:
    """Returns whether `tensor` has constant data. A variable may have data too: its first value."""
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0 and not tensor.isVariable


def buffer_bytes(model: schema.ModelT, tensor: schema.TensorT) -> bytes:
    """Returns the constant data of `tensor`; empty if it has none."""
    data = model.buffers[tensor.buffer].data
    return b"" if data is None else bytes(np.asarray(data, np.uint8))
