"""docs/extending.md names files and Bazel labels that exist.

`NAME` in a path stands for a new file, whose folder exists. The files are data of this test. The labels are those that
Bazel found of the ones that tests/BUILD lists.
"""

import re
from pathlib import Path

import pytest

ROOT = Path.cwd()
DOCUMENT = (ROOT / "docs/extending.md").read_text()
LABELS = sorted(set(re.findall(r"//[\w/]+:\w+", DOCUMENT)))
PATHS = sorted({path for path in re.findall(r"`([\w./-]+)`", DOCUMENT) if "/" in path and not path.startswith("//")})
LINKS = sorted(set(re.findall(r"\]\(([^)#]+)", DOCUMENT)))


def exists(path: str) -> bool:
    """Whether a file or folder is there; of a path with NAME, the folder that it is added to."""
    named = path.split("NAME")[0]
    return (ROOT / (path if named == path else named.rsplit("/", 1)[0])).exists()


def test_the_document_is_read():
    assert len(LABELS) > 10
    assert len(PATHS) > 40
    assert len(LINKS) > 1


@pytest.mark.parametrize("path", PATHS)
def test_path_exists(path):
    assert exists(path)


@pytest.mark.parametrize("link", LINKS)
def test_link_exists(link):
    assert (ROOT / "docs" / link).exists()


def test_labels_exist():
    assert set(LABELS) == set((ROOT / "tests/extending_labels").read_text().split())


def test_what_does_not_exist_is_noticed():
    assert not exists("python/dcsr/passes/absent.py")
    assert not exists("python/absent/NAME.py")
    assert exists("python/dcsr/passes/NAME.py")
