"""Reads input files, and writes the output files of one call: all of them or none.

Every output is first written to a temporary file in its own folder. `Outputs.commit` then renames them all. An output
never replaces an input, whether it is named by the same path, a symbolic link or a hard link.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import signal
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

from dcsr.errors import ModelError

AnyPath: TypeAlias = str | os.PathLike[str]

# Offsets in a flatbuffer have 31 bits.
_MAX_FILE_BYTES = (1 << 31) - 1
_MAX_STREAM_BYTES = 1 << 28  # of a pipe or device, whose size is not known
_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def read_bytes(path: AnyPath, limit: int = _MAX_FILE_BYTES) -> bytes:
    """Returns the bytes of the file at `path`.

    Args:
      path: path of a file; a pipe or device is read up to its end.
      limit: largest size in bytes.

    Raises:
      ModelError: if the file cannot be read or is too large.
    """
    try:
        with open(path, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                limit = min(limit, _MAX_STREAM_BYTES)
            elif os.fstat(file.fileno()).st_size > limit:
                raise ModelError(f"{path}: is larger than {limit:,} bytes")
            data = file.read(limit + 1)
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:  # a path with a zero byte
        raise ModelError(f"{path}: {error}") from error
    if len(data) > limit:
        raise ModelError(f"{path}: is larger than {limit:,} bytes")
    return data


class Outputs:
    """The files that one call writes. They appear together in `commit`, or none of them appears.

        with Outputs([input_path]) as outputs:
            outputs.add("small.tflite", content)
            outputs.add("report.json", text)
            outputs.prepare()   # writes temporary files: most errors appear here
            outputs.commit()    # renames them

    Without commit, the end of the block removes the temporary files and the folders that were created.
    """

    def __init__(self, inputs: Iterable[AnyPath] = ()) -> None:
        """Begins without outputs. `inputs` are files that must stay as they are; they need not exist."""
        self._inputs = {os.path.realpath(path): _identity(path) for path in inputs if "\0" not in os.fsdecode(path)}
        self._files: list[tuple[AnyPath, bytes]] = []
        self._folders: list[Path] = []
        self._created: list[Path] = []
        self._temporaries: list[Path] = []
        self._renames: list[tuple[AnyPath, Path, Path]] = []

    def add(self, path: AnyPath, data: bytes | str) -> None:
        """Adds an output. Characters of a text that UTF-8 lacks (undecodable file names) are written as escapes.

        Raises:
          ModelError: if the path is that of an input or of another output.
        """
        self.check(path)
        content = data.encode(errors="backslashreplace") if isinstance(data, str) else data
        self._files.append((path, content))

    def check(self, path: AnyPath) -> None:
        """Raises ModelError if `path` is that of an input or of an output that was added."""
        if "\0" in os.fsdecode(path):
            raise ModelError(f"{path}: cannot be written: embedded null byte")
        here, real = _identity(path), os.path.realpath(path)
        if real in self._inputs or (here is not None and here in self._inputs.values() and not _is_special(path)):
            raise ModelError(f"{path}: is an input, which would be overwritten; name another output")
        for other, _ in self._files:
            if real == os.path.realpath(other) and not _is_special(path):
                raise ModelError(f"{path}: is named for two outputs")

    def check_all(self, paths: Iterable[AnyPath | None]) -> None:
        """Checks all outputs of a call before any work is done; None stands for an output that is not wanted.

        Raises:
          ModelError: as `check`, and if two of the paths are the same file.
        """
        named = [path for path in paths if path]
        for path in named:
            self.check(path)
            if sum(os.path.realpath(path) == os.path.realpath(other) for other in named) > 1:
                raise ModelError(f"{path}: is named for two outputs")

    def folder(self, path: AnyPath) -> None:
        """Adds a folder that is created if it is missing."""
        self._folders.append(Path(path))

    def prepare(self) -> None:
        """Creates the folders and writes the temporary files.

        Raises:
          ModelError: if a file cannot be written.
        """
        for folder in self._folders:
            with _reported(folder):
                self._create(folder)
        for path, data in self._files:
            if _is_special(path):
                continue
            # A symbolic link stays; its target is replaced.
            target = Path(os.path.realpath(path))
            with _reported(path):
                if target.is_dir():
                    raise IsADirectoryError(errno.EISDIR, "it is a folder")
                temporary = self._temporary(target)
                handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
                with open(handle, "wb") as file:
                    file.write(data)
            self._renames.append((path, temporary, target))

    def commit(self) -> None:
        """Makes all outputs appear. Pipes and devices are written to, before the files are renamed.

        Raises:
          ModelError: if an output cannot be written. The former files are then back in their places.
        """
        for path, data in self._files:
            if _is_special(path):
                with _reported(path), open(path, "wb", buffering=0) as device:
                    view = memoryview(data)
                    while view:
                        view = view[device.write(view) :]
        with _signals_blocked():
            done: list[tuple[Path, Path | None]] = []
            try:
                for path, temporary, target in self._renames:
                    with _reported(path):
                        former = self._kept(target) if len(self._renames) > 1 else None
                        os.replace(temporary, target)
                    done.append((target, former))
            except ModelError:
                for target, former in reversed(done):
                    with contextlib.suppress(OSError):
                        if former is None:
                            os.unlink(target)
                        else:
                            os.replace(former, target)
                raise
            self._created.clear()

    def __enter__(self) -> Outputs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _signals_blocked():
            for temporary in self._temporaries:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
            for folder in reversed(self._created):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)

    def _create(self, folder: Path) -> None:
        if folder.is_dir():
            return
        self._create(folder.parent)
        self._created.append(folder)
        folder.mkdir()

    def _temporary(self, target: Path) -> Path:
        """Returns the name of a new temporary file beside `target`. It is removed in any case."""
        temporary = target.parent / f".dcsr.{secrets.token_hex(8)}"
        self._temporaries.append(temporary)
        return temporary

    def _kept(self, target: Path) -> Path | None:
        """Keeps the present file at `target` under a temporary name; returns the name, or None if there is no file."""
        if not os.path.lexists(target):
            return None
        former = self._temporary(target)
        try:
            os.link(target, former)
        except OSError:  # a file system without hard links
            os.replace(target, former)
        return former


@contextlib.contextmanager
def replacing(path: AnyPath) -> Iterator[Path]:
    """Replaces a file atomically: yields a temporary path, whose content is moved to `path` if the block succeeds.

    Raises:
      ModelError: if the file cannot be written.
    """
    with Outputs() as outputs:
        target = Path(os.path.realpath(path))
        special = _is_special(path)
        with _reported(path):
            folder = Path(tempfile.gettempdir()) if special else target.parent
            temporary = outputs._temporary(folder / target.name)
            temporary.touch(exist_ok=False)
            yield temporary
            if target.is_dir():
                raise IsADirectoryError(errno.EISDIR, "it is a folder")
            if special:
                outputs.add(path, temporary.read_bytes())
            else:
                outputs._renames.append((path, temporary, target))
        outputs.commit()


def write_file(path: AnyPath, data: bytes | str) -> None:
    """Writes `data` to `path`. On failure the former file stays unchanged.

    Raises:
      ModelError: if the file cannot be written.
    """
    with Outputs() as outputs:
        outputs.add(path, data)
        outputs.prepare()
        outputs.commit()


def _identity(path: AnyPath) -> tuple[int, int] | None:
    """Returns (device, inode) of the file that `path` leads to; None if there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _is_special(path: AnyPath) -> bool:
    """Whether `path` leads to a pipe or a device, which cannot be replaced by a file."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


@contextlib.contextmanager
def _reported(path: AnyPath) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ModelError(f"{path}: cannot be written: {error.strerror or error}") from error


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """Delays signals that end the process until the block has ended."""
    former = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)
