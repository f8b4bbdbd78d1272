"""Model files on this machine: fetched once, checked by hash, shared by all processes.

    <cache>/files/ab/abcd…      the content of one stored file
    <cache>/trees/0123…/NAME    an artifact as its backend sees it, of hard links to those

Both are named by their content, so what is there is right, and is there for every version that
holds it. They appear by a rename, whole or not at all.
"""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from django.conf import settings

from registry import files
from registry.models import StoredFile

# What was asked for a moment ago may not have been opened yet.
_IN_USE_SECONDS = 600

Tree = Mapping[str, StoredFile]
"""The files of one artifact: {"weights.pt": …}, or {"tokenizer/vocab.txt": …, "tokenizer/merges.txt": …}."""


def path(name: str, tree: Tree) -> Path:
    """Return where the artifact lies on this machine, fetched first where it is not there yet."""
    folder = _root() / "trees" / _digest(tree)
    if not folder.exists():
        _appear(folder, lambda target: _link(tree, target))
        _make_room(folder)
    os.utime(folder)
    return folder / name


def missing(name: str) -> Path:
    """Return a place where there is no artifact."""
    return _root() / "trees" / "none" / name


def _link(tree: Tree, folder: Path) -> None:
    folder.mkdir()
    for relative, kept in tree.items():
        target = folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        source = _file(kept)
        try:
            os.link(source, target)
        except OSError:
            # A file system without hard links, or too many of them.
            shutil.copyfile(source, target)


def _file(kept: StoredFile) -> Path:
    place = _root() / "files" / kept.digest[:2] / kept.digest
    if not place.exists():
        _appear(place, lambda target: _fetch(kept, target))
    os.utime(place)
    return place


def _fetch(kept: StoredFile, target: Path) -> None:
    files.fetch(kept, target)
    # Versions share it: a backend that would write into it is told at once.
    target.chmod(0o444)


def _appear(place: Path, make: Callable[[Path], None]) -> None:
    """Make it aside and move it into its place, where another process may have been first."""
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = _root() / "aside"
    aside.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=aside) as workshop:
        made = Path(workshop, "made")
        make(made)
        try:
            made.rename(place)
        except OSError:
            if not place.exists():
                raise


def _make_room(asked_for: Path) -> None:
    """Remove what was not asked for longest, until the cache is as small as the setting wants it."""
    too_much = _size() - settings.ARTIFACT_CACHE_MB * 1024 * 1024
    trees = sorted((tree.stat().st_mtime, tree) for tree in (_root() / "trees").iterdir())
    for used_at, tree in trees:
        if too_much <= 0:
            return
        if tree != asked_for and used_at < time.time() - _IN_USE_SECONDS:
            shutil.rmtree(tree, ignore_errors=True)
            too_much -= _remove_unlinked()


def _size() -> int:
    return sum(place.stat().st_size for place in (_root() / "files").glob("*/*"))


def _remove_unlinked() -> int:
    """Remove the files that no tree holds any more; return how many bytes that were."""
    removed = 0
    for place in (_root() / "files").glob("*/*"):
        status = place.stat()
        if status.st_nlink == 1 and status.st_mtime < time.time() - _IN_USE_SECONDS:
            place.unlink(missing_ok=True)
            removed += status.st_size
    return removed


def _digest(tree: Tree) -> str:
    listed = "\n".join(f"{kept.digest} {relative}" for relative, kept in sorted(tree.items()))
    return hashlib.sha256(listed.encode()).hexdigest()


def _root() -> Path:
    root: Path = settings.ARTIFACT_CACHE
    return root
