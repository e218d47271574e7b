"""Runs pytest on the files of the command line and reports the results to Bazel. See pytest.bzl."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest


class Deterministic:
    """Makes Hypothesis try the same examples on every machine, so that failures are reproducible."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self) -> None:
        """Loads the profile before the option --hypothesis-profile is read."""
        import hypothesis  # imported late because pytest must be imported first

        # No deadline: tests run in parallel. No database: it would be lost.
        hypothesis.settings.register_profile("bazel", derandomize=True, deadline=None, database=None, print_blob=True)
        hypothesis.settings.load_profile("bazel")


class Shard:
    """Selects the tests of one shard if Bazel splits the target (shard_count)."""

    def __init__(self, index: int, total: int) -> None:
        """Selects every `total`-th test, starting at `index`."""
        self.index = index
        self.total = total

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Removes the tests of the other shards."""
        items[:] = items[self.index :: self.total]


def main() -> int:
    """Returns pytest's exit status, or 0 if a filter or sharding left no test to run."""
    # Load only the plugins named here. Plugins of the host's Python are not part of the build.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    arguments = ["-p", "_hypothesis_pytestplugin"]
    # The cache provider writes beside the sources.
    arguments += ["-p", "no:cacheprovider"]
    # Allow test files with the same name, and leave sys.path as Bazel sets it.
    arguments += ["--import-mode=importlib"]
    # List skipped tests with their reasons.
    arguments += ["-ra"]
    # Ignore configuration files of parent folders: they differ inside and outside a sandbox.
    arguments += ["--config-file", os.devnull, "--rootdir", os.getcwd()]

    if temporary := os.environ.get("TEST_TMPDIR"):
        arguments += ["--basetemp", str(Path(temporary, "pytest"))]
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(Path(temporary, "hypothesis"))
    if xml := os.environ.get("XML_OUTPUT_FILE"):
        arguments += ["--junitxml", xml]

    plugins: list[object] = [Deterministic()]
    may_be_empty = False
    if test_filter := os.environ.get("TESTBRIDGE_TEST_ONLY"):
        arguments += ["-k", test_filter]
        may_be_empty = True  # --test_filter applies to all targets of the command
    if total := int(os.environ.get("TEST_TOTAL_SHARDS", "0")):
        Path(os.environ["TEST_SHARD_STATUS_FILE"]).touch()
        plugins.append(Shard(int(os.environ["TEST_SHARD_INDEX"]), total))
        may_be_empty = True

    status = pytest.main(arguments + sys.argv[1:], plugins)
    if status == pytest.ExitCode.NO_TESTS_COLLECTED and may_be_empty:
        return 0
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
