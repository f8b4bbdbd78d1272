"""The form of an archive: a tar of a signature, the manifest that it signs, and what that lists, in its order.

    manifest.sig          HMAC-SHA256 of the manifest under ARCHIVE_KEY, hexadecimal
    manifest.json         what the version is, with the digest and size of everything below
    state/0001            the values of its state, pickles without a server's own signature
    artifacts/NAME/PATH   its model files

Any tar program unpacks it. For one manifest there is exactly one archive, byte by byte, so that a
reader compares what it reads with what must stand there, and interprets nothing that is not signed.
"""

import hashlib
import hmac
import json
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from gzip import BadGzipFile
from pathlib import Path
from typing import IO, Annotated, Any, Final, Literal, NoReturn

from django.conf import settings
from django.utils.crypto import salted_hmac
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from registry.entries import MAX_BYTES, MAX_KEY
from registry.errors import ArchiveError
from registry.files import CHUNK_BYTES
from registry.lineage import Lineage
from registry.models import StateEntry

FORMAT: Final = 1
MAX_MANIFEST_BYTES = 32 * 1024 * 1024
_SIGNATURE, _MANIFEST = "manifest.sig", "manifest.json"
_SALT = "registry.archive.manifest"
_SIGNATURE_BYTES = 2 * hashlib.sha256().digest_size
_END = bytes(2 * tarfile.BLOCKSIZE)
_MAX_FILE_BYTES = 2**50
_STRICT = ConfigDict(extra="forbid", strict=True)

_Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class StateValue:
    """A value of the version's state."""

    __pydantic_config__ = _STRICT

    key: Annotated[str, Field(min_length=1, max_length=MAX_KEY)]
    kind: StateEntry.Kind
    digest: _Digest
    size: Annotated[int, Field(ge=0, le=MAX_BYTES)]


@dataclass(frozen=True)
class ModelFile:
    """A file of an artifact."""

    __pydantic_config__ = _STRICT

    path: str
    digest: _Digest
    size: Annotated[int, Field(ge=0, le=_MAX_FILE_BYTES)]


@dataclass(frozen=True)
class Origin:
    """The version as it stands where it was made."""

    __pydantic_config__ = _STRICT

    backend: str
    project: str
    number: int
    name: str
    parent: str | None
    created_at: datetime
    note: str
    tags: list[Any]
    evaluation: dict[str, Any] | None


@dataclass(frozen=True)
class Manifest:
    """What an archive holds."""

    __pydantic_config__ = _STRICT

    origin: Origin
    lineage: Lineage
    state: Sequence[StateValue]
    artifacts: Sequence[ModelFile]
    format: Literal[1] = FORMAT

    def members(self) -> Iterator[tuple[str, StateValue | ModelFile]]:
        """Yield what the archive holds behind the manifest, by the names there, in order."""
        for number, value in enumerate(self.state, 1):
            yield f"state/{number:04}", value
        for file in self.artifacts:
            yield f"artifacts/{file.path}", file


_adapter = TypeAdapter(Manifest)


class Writer:
    """Writes an archive from its beginning to its end."""

    def __init__(self, target: IO[bytes]) -> None:
        self.target = target

    def begin(self, manifest: Manifest) -> None:
        """Write the manifest and its signature."""
        told = json.dumps(asdict(manifest), default=_as_text, ensure_ascii=False, indent=1, sort_keys=True).encode()
        if len(told) > MAX_MANIFEST_BYTES:
            raise ArchiveError(f"The version has more files and keys than {MAX_MANIFEST_BYTES} bytes can list.")
        for name, content in ((_SIGNATURE, _sign(told)), (_MANIFEST, told)):
            self.open(name, len(content))
            self.target.write(content)
            self.close(len(content))

    def open(self, name: str, size: int) -> None:
        """Write what stands before a member's content; the content is written to `target` then."""
        self.target.write(_header(name, size))

    def close(self, size: int) -> None:
        """Write what stands behind a member's content."""
        self.target.write(_padding(size))

    def end(self) -> None:
        """Write the archive's end."""
        self.target.write(_END)


class Reader:
    """Reads an archive from its beginning to its end; raise ArchiveError for anything that is not as exported."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source

    def begin(self) -> Manifest:
        """Return the manifest, whose signature is right."""
        self._expect(_header(_SIGNATURE, _SIGNATURE_BYTES), "This is no archive of a model version.")
        signature = self._read(_SIGNATURE_BYTES)
        self._expect(_padding(_SIGNATURE_BYTES))
        size = self._manifest_size()
        told = self._read(size)
        self._expect(_padding(size))
        if not hmac.compare_digest(signature, _sign(told)):
            raise ArchiveError(
                "The archive's signature is not right: it was changed, or the server that made it has another "
                "ARCHIVE_KEY. Set the same one on both servers, export the version again and import that."
            )
        return _parse(told)

    def extract(self, name: str, member: StateValue | ModelFile, place: Path) -> None:
        """Write the next member's content, which is to be this one, to a file."""
        self._expect(_header(name, member.size))
        hasher = hashlib.sha256()
        left = member.size
        with place.open("wb") as target:
            while left:
                chunk = self._read(min(left, CHUNK_BYTES))
                left -= len(chunk)
                hasher.update(chunk)
                target.write(chunk)
        if hasher.hexdigest() != member.digest:
            _refuse()
        self._expect(_padding(member.size))

    def end(self) -> None:
        """Read the archive's end, behind which there is nothing."""
        self._expect(_END)
        if self._some(1):
            _refuse("Something was added behind the archive's end.")

    def _manifest_size(self) -> int:
        header = self._read(tarfile.BLOCKSIZE)
        digits = header[124:135]
        if not digits.isdigit():
            _refuse()
        size = int(digits, 8) if not set(digits) & set(b"89") else -1
        if not 0 < size <= MAX_MANIFEST_BYTES or header != _header(_MANIFEST, size):
            _refuse()
        return size

    def _expect(self, content: bytes, otherwise: str = "The archive was changed on its way.") -> None:
        if self._read(len(content)) != content:
            _refuse(otherwise)

    def _read(self, size: int) -> bytes:
        content = b""
        while len(content) < size:
            more = self._some(size - len(content))
            if not more:
                _refuse("The archive ends too early.")
            content += more
        return content

    def _some(self, size: int) -> bytes:
        try:
            return self._source.read(size)
        except (EOFError, BadGzipFile, zlib.error) as exc:
            raise ArchiveError("The archive cannot be unzipped. Copy it once more, or export it again.") from exc


def _parse(told: bytes) -> Manifest:
    try:
        stated = json.loads(told).get("format")
    except (ValueError, AttributeError, RecursionError) as exc:
        raise ArchiveError("The archive's manifest cannot be read. Export the version again.") from exc
    if stated != FORMAT:
        raise ArchiveError(
            f"The archive is of format {stated!r} and this server reads format {FORMAT}. Update the older server."
        )
    try:
        return _adapter.validate_json(told)
    except ValidationError as exc:
        first = exc.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ArchiveError(f"The archive's manifest cannot be used: {place}: {first['msg']}.") from exc


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _sign(told: bytes) -> bytes:
    return salted_hmac(_SALT, told, secret=settings.ARCHIVE_KEY, algorithm="sha256").hexdigest().encode()


def _as_text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else dict(value)


def _refuse(reason: str = "The archive was changed on its way.") -> NoReturn:
    raise ArchiveError(f"{reason} Copy it once more, or export it again.")
