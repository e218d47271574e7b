"""Reads and writes .tflite files without loss.

A flatbuffer is parsed into objects of the generated object API and serialised from them. The object API silently drops
fields that it does not know, so `parse` rejects models with such fields.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np

from dcsr.schema import enum_name, schema

FILE_IDENTIFIER = b"TFL3"
BUFFER_ALIGNMENT = 16


class ModelError(Exception):
    """A model that cannot be processed. The message names the model, the place in it, the reason, and a remedy."""


def read(path: str | os.PathLike[str]) -> schema.ModelT:
    """Reads the model file at `path`.

    Raises:
      ModelError: if the file cannot be read, or as parse().
    """
    return parse(read_bytes(path), str(path))


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Returns the bytes of the file at `path`.

    Raises:
      ModelError: if the file cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}") from error


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
        root = schema.Model.GetRootAs(data, 0)
        _check_nothing_unknown(root, name)
        model = schema.ModelT.InitFromObj(root)
        _check_references(model)
    except (
        struct.error,
        IndexError,
        ValueError,
        TypeError,
        AttributeError,
        OverflowError,
    ) as error:
        raise ModelError(f"{name}: truncated or damaged TFLite model ({error})") from error
    model.attached_archive = archive
    for index, buffer in enumerate(model.buffers):
        if buffer.offset > 1 or buffer.size > 1:
            raise ModelError(
                f"{name}: buffer {index} lies outside the flatbuffer (models above 2 GB are not supported)"
            )
    for where, operator in operators(model):
        if operator.largeCustomOptionsOffset > 1:
            raise ModelError(f"{name}: {where}: its custom options lie outside the flatbuffer (not supported)")
    return model


def serialize(model: schema.ModelT) -> bytes:
    """Returns the content of a .tflite file: flatbuffer (buffers aligned to 16 bytes), then the attached files."""
    size = sum(len(b.data) for b in model.buffers if b.data is not None)
    builder = flatbuffers.Builder(size + size // 8 + 65536)
    buffers = model.buffers
    model.buffers = [_AlignedBuffer(b.data, b.offset, b.size) for b in buffers]
    try:
        builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    finally:
        model.buffers = buffers
    return _with_archive(bytes(builder.Output()), getattr(model, "attached_archive", b""))


def split_archive(data: bytes) -> tuple[bytes, bytes]:
    """Splits a file into the flatbuffer and the ZIP archive behind it (labels, vocabularies: TFLite Metadata).

    Returns:
      (flatbuffer, archive); the archive is empty if the file has none.

    Raises:
      ValueError: if the archive is damaged.
    """
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return data, b""
    entries, shift = _archive_entries(data)
    start = min((offset + shift for _, offset in entries), default=len(data))
    if not 0 < start:
        raise ValueError("the ZIP archive behind it is damaged")
    return data[:start], data[start:]


def _archive_entries(data: bytes) -> tuple[list[tuple[int, int]], int]:
    """Reads the directory of the ZIP archive at the end of `data`. The archived files themselves are not read.

    Returns:
      ([(position in `data` of an entry's offset field, value of that field)], distance that turns such an offset into
      a position in `data`).
    """
    end = data.rfind(b"PK\5\6")
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
    end = placed.rfind(b"PK\5\6")
    directory = end - struct.unpack_from("<I", placed, end + 12)[0]
    struct.pack_into("<I", placed, end + 16, directory + len(data))
    return data + bytes(placed)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Replaces a file atomically: yields a temporary path, which is renamed to `path` if the block succeeds.

    Raises:
      ModelError: if the file cannot be written.
    """
    # A symbolic link stays; its target is replaced.
    target = Path(os.path.realpath(path))
    special = target.exists() and not target.is_file() and not target.is_dir()
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=".dcsr.", dir=None if special else target.parent)
        os.close(handle)
        yield Path(temporary)
        if special:
            # Devices and pipes are written to, not replaced.
            target.write_bytes(Path(temporary).read_bytes())
            return
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        # mkstemp creates private files. Give the file the mode that the umask asks for.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, target)
    except OSError as error:
        raise ModelError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def write_file(path: str | os.PathLike[str], data: bytes | str) -> None:
    """Writes `data` to `path`. On failure the former file stays unchanged.

    Raises:
      ModelError: if the file cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)


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

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 (generated name)
        """Writes the buffer and returns its offset."""
        data = None
        if self.data is not None:
            content = bytes(self.data)
            builder.StartVector(1, len(content), BUFFER_ALIGNMENT)
            builder.head -= len(content)
            builder.Bytes[builder.head : builder.head + len(content)] = content
            data = builder.EndVector()
        schema.BufferStart(builder)
        if data is not None:
            schema.BufferAddData(builder, data)
        schema.BufferAddOffset(builder, self.offset)
        schema.BufferAddSize(builder, self.size)
        return int(schema.BufferEnd(builder))


def _check_references(model: schema.ModelT) -> None:
    """Raises IndexError or TypeError if an index is out of range or a required table is missing."""
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
        if subgraph.outputs is None:
            raise IndexError("a subgraph has no outputs")
        lists = [subgraph.inputs, subgraph.outputs]
        for operator in subgraph.operators or []:
            if operator.outputs is None:
                raise IndexError("an operator has no outputs")
            if not 0 <= operator.opcodeIndex < len(model.operatorCodes):
                raise IndexError(f"there is no operator code {operator.opcodeIndex}")
            lists += [operator.inputs, operator.outputs, operator.intermediates]
        for indices in lists:
            for index in () if indices is None else indices:
                if not -1 <= index < len(tensors):
                    raise IndexError(f"there is no tensor {index}")
    for entry in model.metadata or []:
        if not 0 <= entry.buffer < len(model.buffers):
            raise IndexError(f"metadata '{text(entry.name)}' has no buffer {entry.buffer}")


class _FieldCounter:
    """Counts the fields of a table: a generated `*Start` function passes the number to StartObject of its Builder."""

    fields = 0

    def StartObject(self, fields: int) -> None:  # noqa: N802 (Builder's name)
        """Stores the number of fields."""
        self.fields = fields


def _known_fields(table: str) -> int:
    counter = _FieldCounter()
    getattr(schema, f"{table}Start")(counter)
    return counter.fields


def _check_nothing_unknown(model: schema.Model, name: str) -> None:
    """Raises ModelError if a table has fields that this schema does not know, or an operator has unknown options."""
    known: dict[str, int] = {}

    def check(table: Any, where: str, kind: str | None = None) -> None:
        if table is None:
            return
        kind = kind or type(table).__name__
        if kind not in known:
            known[kind] = _known_fields(kind)
        raw = getattr(table, "_tab", table)
        vtable = raw.Pos - raw.Get(flatbuffers.number_types.SOffsetTFlags, raw.Pos)
        size = raw.Get(flatbuffers.number_types.VOffsetTFlags, vtable)
        for field in range(known[kind], (size - 4) // 2):
            if raw.Get(flatbuffers.number_types.VOffsetTFlags, vtable + 4 + 2 * field):
                raise ModelError(
                    f"{name}: {where}: field {field} of {kind} is newer than the schema of the installed"
                    " tflite-micro and would be lost; a newer tflite-micro is needed"
                )

    def check_options(operator: schema.Operator, where: str, union: str) -> None:
        kind = getattr(operator, f"{union}Type")()
        table = getattr(operator, union)()
        if not kind or table is None:
            return
        options = enum_name(getattr(schema, union), kind)
        if not hasattr(schema, f"{options}Start"):
            raise ModelError(
                f"{name}: {where}: its options are of type {kind}, which the schema of the installed tflite-micro"
                " does not know and would lose; a newer tflite-micro is needed"
            )
        check(table, where, options)

    check(model, "model")
    for list_name in ("OperatorCodes", "Buffers", "Metadata", "SignatureDefs"):
        for i in range(getattr(model, f"{list_name}Length")()):
            check(getattr(model, list_name)(i), f"{list_name} {i}")
    for s in range(model.SubgraphsLength()):
        subgraph = model.Subgraphs(s)
        check(subgraph, f"subgraph {s}")
        for t in range(subgraph.TensorsLength()):
            tensor = subgraph.Tensors(t)
            check(tensor, f"subgraph {s}, tensor {t}")
            check(tensor.Quantization(), f"subgraph {s}, tensor {t}")
        for o in range(subgraph.OperatorsLength()):
            operator, where = subgraph.Operators(o), f"subgraph {s}, operator {o}"
            check(operator, where)
            check_options(operator, where, "BuiltinOptions")
            check_options(operator, where, "BuiltinOptions2")


def buffer_bytes(model: schema.ModelT, tensor: schema.TensorT) -> bytes:
    """Returns the constant data of `tensor`; empty if it has none."""
    data = model.buffers[tensor.buffer].data
    return b"" if data is None else bytes(np.asarray(data, np.uint8))
