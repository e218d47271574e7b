"""Runs pytest over the files named on the command line and reports to Bazel. See pytest.bzl."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest


class Deterministic:
    """Makes Hypothesis try the same examples everywhere, so that a failure can be repeated."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self) -> None:
        """Sets the profile, before an option --hypothesis-profile is read."""
        import hypothesis  # only now, as pytest wants to be there first

        # No deadline, as other tests run beside this one; no database, as it would be lost.
        hypothesis.settings.register_profile("bazel", derandomize=True, deadline=None, database=None, print_blob=True)
        hypothesis.settings.load_profile("bazel")


class Shard:
    """Keeps the tests of one shard, if Bazel splits the target (shard_count)."""

    def __init__(self, index: int, total: int) -> None:
        """Takes every `total`-th test from the `index`-th on."""
        self.index = index
        self.total = total

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Drops the tests of the other shards."""
        items[:] = items[self.index :: self.total]


def main() -> int:
    """Returns pytest's exit status; 0 if a filter or the sharding left no test to run."""
    # Only the plugins named here: those of the host's own Python are not part of the build.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    arguments = ["-p", "_hypothesis_pytestplugin"]
    # It writes beside the sources.
    arguments += ["-p", "no:cacheprovider"]
    # Two tests of the same file name may meet, and sys.path stays as Bazel made it.
    arguments += ["--import-mode=importlib"]
    # Names what was skipped, and why.
    arguments += ["-ra"]
    # No configuration from folders above, which are not the same in a sandbox as out of it.
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
        may_be_empty = True  # --test_filter goes to every target of the command line
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
