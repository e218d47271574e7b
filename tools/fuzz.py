"""Fuzzes the packed layer in C with coverage feedback: libFuzzer, AddressSanitizer, UndefinedBehaviorSanitizer.

    bazel run //tools:fuzz -- --seconds 60
    bazel run //tools:fuzz -- --seconds 36000 --corpus /path/to/corpus

Starts from the test vectors of docs/format.md and from the blobs in the corpus, which grows. Every blob that the reader
accepts runs through the kernels of every class of cores that compile for the host (fuzz_packed_layer.c). Exit status 1,
and the blob in the current folder, if a kernel leaves its bounds, leaves outputs unwritten, or differs from another.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

TARGET = "tflm_kernels/testing/fuzz_packed_layer.c"
ROOMS = ("dispatch", "format", "mve", "planning", "reference", "scalar")
FLAGS = ("-std=c11", "-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all")
# The largest vector has 276 bytes. Longer blobs hardly reach other code, but take longer.
MAX_BLOB_BYTES = 2048
_VECTOR = re.compile(
    r"^layer\n\n```\n(?P<layer>.*?)```(\n\nshared\n\n```\n(?P<shared>.*?)```)?", re.MULTILINE | re.DOTALL
)


def vectors(document: str) -> list[bytes]:
    """Returns the packed layers in the text of docs/format.md, each followed by its shared rows if it has them."""
    return [bytes.fromhex(match["layer"] + (match["shared"] or "")) for match in _VECTOR.finditer(document)]


def compile_fuzzer(clang: Path, root: Path, output: Path) -> None:
    """Compiles the fuzzer from the sources below `root`.

    Raises:
      subprocess.CalledProcessError: if clang fails. Its messages are on stderr.
    """
    sources = [
        TARGET,
        *(str(path.relative_to(root)) for room in ROOMS for path in root.glob(f"tflm_kernels/{room}/*.c")),
    ]
    subprocess.run([clang, *FLAGS, "-I.", "-o", output, *sorted(sources)], cwd=root, check=True)


def main() -> int:
    """Returns 0 if nothing was found, 1 after a finding, 2 if the fuzzer cannot be built."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="duration (default: %(default)s)")
    parser.add_argument("--corpus", type=Path, help="folder of blobs to start from and to extend; none by default")
    parser.add_argument("--seed", type=int, default=1, help="seed of libFuzzer (default: %(default)s)")
    arguments = parser.parse_args()
    # Set by `bazel run`. The working directory is that of the runfiles.
    root = Path(os.environ["BUILD_WORKSPACE_DIRECTORY"])
    start = Path(os.environ["BUILD_WORKING_DIRECTORY"])
    # Bzlmod adds the name of the extension before that of the repository.
    clang = next(Path("..").glob("*clang/bin/clang")).resolve()
    with tempfile.TemporaryDirectory(prefix="dcsr_fuzz") as folder:
        fuzzer, seeds = Path(folder, "fuzzer"), Path(folder, "seeds")
        seeds.mkdir()
        for number, blob in enumerate(vectors(Path(root, "docs/format.md").read_text())):
            (seeds / str(number)).write_bytes(blob)
        corpus = Path(folder, "corpus") if arguments.corpus is None else start / arguments.corpus
        corpus.mkdir(parents=True, exist_ok=True)
        try:
            compile_fuzzer(clang, root, fuzzer)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"fuzz: cannot build the fuzzer: {error}", file=sys.stderr)
            return 2
        options = [
            f"-max_total_time={arguments.seconds}",
            f"-seed={arguments.seed}",
            f"-max_len={MAX_BLOB_BYTES}",
            "-timeout=10",
            "-print_final_stats=1",
            f"-artifact_prefix={start}/",
        ]
        result = subprocess.run([fuzzer, *options, corpus, seeds], check=False)
    return 1 if result.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
