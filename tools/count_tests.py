"""Counts individual tests, not targets, in the output of `bazel test --build_event_json_file=FILE`.

python3 tools/count_tests.py FILE...

A target that Bazel skips because it is incompatible with the platform or the flags counts as one skipped test.
Prints each skipped test with its reason, then `N passed, N failed, N skipped`.
Exit status 1 if a test failed or if no test ran.
"""

from __future__ import annotations

import json
import sys
import urllib.parse
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator
from pathlib import Path


def results(events: Path) -> Iterator[tuple[str, str, Path | None]]:
    """Yields label, status and test.xml of each finished test target or shard."""
    for line in events.read_text().splitlines():
        event = json.loads(line)
        if "testResult" not in event:
            continue
        xml = None
        for output in event["testResult"].get("testActionOutput", []):
            if output["name"] == "test.xml":
                xml = Path(urllib.parse.unquote(urllib.parse.urlsplit(output["uri"]).path))
        yield event["id"]["testResult"]["label"], event["testResult"]["status"], xml


def skipped_targets(events: Path) -> Iterator[str]:
    """Yields the label of each test target that Bazel skipped as incompatible."""
    tests = set()
    for line in events.read_text().splitlines():
        event = json.loads(line)
        if "configured" in event and "testSize" in event["configured"]:
            tests.add(event["id"]["targetConfigured"]["label"])
        if event.get("aborted", {}).get("reason") == "SKIPPED" and "targetCompleted" in event["id"]:
            label = event["id"]["targetCompleted"]["label"]
            if label in tests:
                yield label


def count(label: str, status: str, xml: Path | None) -> Counter[str]:
    """Counts the tests of one target and prints the skipped ones."""
    counts: Counter[str] = Counter()
    cases = ElementTree.parse(xml).iter("testcase") if xml and xml.exists() else ()
    for case in cases:
        skipped = case.find("skipped")
        if skipped is not None:
            counts["skipped"] += 1
            print(f"skipped: {label} {case.get('name')}: {skipped.get('message')}")
        elif case.find("failure") is not None or case.find("error") is not None:
            counts["failed"] += 1
        else:
            counts["passed"] += 1
    # A target can fail without a failed test: a crash at the end, or a timeout.
    if status != "PASSED" and not counts["failed"]:
        counts["failed"] += 1
    return counts


def main() -> int:
    """Prints the totals of all files."""
    total: Counter[str] = Counter()
    for events in sys.argv[1:]:
        for label, status, xml in results(Path(events)):
            total += count(label, status, xml)
        for label in skipped_targets(Path(events)):
            total["skipped"] += 1
            # Bazel's events do not give the reason, but all skippable targets of this project have this one.
            print(f"skipped: {label}: needs TFLM's source, --//third_party/tflm:framework (docs/embedding.md)")
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
