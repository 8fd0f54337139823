"""One file with a study in it: a zip of plain files, and a manifest that says what they must be.

No code, no pickle, no name that leads anywhere: what may be inside is a closed list. Reading
believes nothing that the manifest does not state and no member that differs from what it states.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shutil import copyfileobj
from typing import Any, ClassVar

from nano.errors import RunError
from nano.files import from_plain, parse_json, replacing, to_plain
from nano.machine import versions

FORMAT, VERSION = "nano.explore study", 1
STUDY, TRIALS, RUN = "study.json", "trials.jsonl", "run/"
_MANIFEST = "manifest.json"
_LONGEST_MANIFEST = 64 << 20  # bytes; 10,000 trials of five files take 9 MB
# Deflate makes at most 1032 bytes of one; records of many alike trials were seen to give 30.
_MOST_OF_A_BYTE = 200
_SPARE = 1 << 20  # bytes that any archive may unfold to
_LONGEST_LINE = 16 << 20  # bytes of a trial; the paper's topology takes 60 kB
_PACKED = {".png", ".safetensors"}  # hardly get smaller
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
_OF_RUN = re.compile(
    r"study\.toml|run\.json|log\.txt|trials\.csv|report\.html"
    rf"|(trials|confirm|best)/({_PART}/){{0,2}}{_PART}\.(json|csv|png|safetensors)"
)


@dataclass(frozen=True, kw_only=True)
class Member:
    """What a file in the archive must be: its size in bytes, and its SHA-256 in hexadecimal."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What an archive says of itself.

    Attributes:
        study: Its name.
        trials: How many it has.
        made: When, in UTC.
        versions: Of the packages that wrote it.
        members: Of every other file in the archive, by name.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    study: str
    trials: int
    made: str
    versions: dict[str, str]
    members: dict[str, Member]


def is_of_run(path: str) -> bool:
    """Whether an archive may hold this file of a run folder, named from there."""
    return _OF_RUN.fullmatch(path) is not None


class Counted:
    """A file of an archive, of which size and digest are known once it is written."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self.bytes = 0
        self.digest = hashlib.sha256()

    def write(self, content: bytes) -> None:
        """As of any file."""
        self.bytes += len(content)
        self.digest.update(content)
        self._write(content)


class Packer:
    """Puts files into an archive that `packing` opened."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file = file
        self.members: dict[str, Member] = {}

    @contextmanager
    def member(self, name: str) -> Iterator[Counted]:
        """A new file in the archive, to be written."""
        info = zipfile.ZipInfo(name)  # of no date: the manifest has one
        packed = Path(name).suffix in _PACKED
        info.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
        info.external_attr = (stat.S_IFREG | 0o644) << 16
        with self._file.open(info, "w", force_zip64=True) as file:
            counted = Counted(file.write)
            yield counted
        self.members[name] = Member(bytes=counted.bytes, sha256=counted.digest.hexdigest())

    def add(self, name: str, path: Path) -> None:
        """A file as it is."""
        with path.open("rb") as source, self.member(name) as file:
            copyfileobj(source, file)


@contextmanager
def packing(path: Path, study: str, trials: int) -> Iterator[Packer]:
    """An archive at ``path`` that is whole once the block has ended, or not there.

    Raises:
        OutputError: It cannot be written; what stood there before is left.
    """
    with replacing(path) as part, zipfile.ZipFile(part, "w") as file:
        packer = Packer(file)
        yield packer
        manifest = Manifest(
            study=study,
            trials=trials,
            made=datetime.now(UTC).isoformat(timespec="seconds"),
            versions=versions(),
            members=packer.members,
        )
        plain = {"format": FORMAT, "version": VERSION, **to_plain(manifest)}
        with packer.member(_MANIFEST) as member:
            member.write(json.dumps(plain, indent=1).encode())


class Archive:
    """An archive opened for reading; its manifest has been compared with what is there."""

    def __init__(self, path: Path, file: zipfile.ZipFile) -> None:
        self.path = path
        self._file = file
        self.manifest = _manifest(path, file)
        _check_members(path, file, self.manifest.members)

    @property
    def of_run(self) -> list[str]:
        """Names of the run folder's files, as named from there."""
        return [n.removeprefix(RUN) for n in self.manifest.members if n.startswith(RUN)]

    @property
    def unfolded(self) -> int:
        """Bytes of all members."""
        return sum(member.bytes for member in self.manifest.members.values())

    def objects(self, name: str) -> Iterator[Any]:
        """What the lines of a member hold, each parsed.

        Raises:
            RunError: No JSON, or not what the manifest states: told at the latest at the end.
        """
        for place, line in enumerate(self._lines(name)):
            where = f"{self.path}: {name}, line {place + 1}"
            yield parse_json(_text(line, where), where, RunError)

    def _lines(self, name: str) -> Iterator[bytes]:
        left = b""
        for piece in self._pieces(name):
            *whole, left = (left + piece).split(b"\n")
            if len(left) > _LONGEST_LINE:
                raise RunError(f"{self.path}: {name}: a line of more than {_LONGEST_LINE} bytes")
            yield from whole
        if left:
            yield left

    def json(self, name: str) -> Any:
        """A member, parsed; raises a RunError for one that is damaged."""
        where = f"{self.path}: {name}"
        return parse_json(_text(b"".join(self._pieces(name)), where), where, RunError)

    def unfold(self, name: str, path: Path) -> None:
        """Write a member of the run folder to ``path``.

        Raises:
            RunError: It is not what the manifest states.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            for piece in self._pieces(RUN + name):
                file.write(piece)

    def _pieces(self, name: str) -> Iterator[bytes]:
        """Never more bytes than the manifest states."""
        stated = self.manifest.members[name]
        digest, count = hashlib.sha256(), 0
        try:
            with self._file.open(name) as file:
                while piece := file.read(min(1 << 20, stated.bytes - count + 1)):
                    count += len(piece)
                    if count > stated.bytes:
                        break
                    digest.update(piece)
                    yield piece
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as damaged:
            raise RunError(f"{self.path}: {name}: damaged: {damaged}") from damaged
        if count != stated.bytes or digest.hexdigest() != stated.sha256:
            raise RunError(f"{self.path}: {name}: damaged: not what the manifest states")


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """An archive for reading.

    Raises:
        RunError: It is none, damaged, of a newer format, or holds what none of ours may hold.
    """
    try:
        file = zipfile.ZipFile(path)
    except FileNotFoundError as missing:
        raise RunError(f"{path}: no such file") from missing
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as other:
        raise _no_archive(path, f"no zip file ({other})") from other
    with file:
        yield Archive(path, file)


def _no_archive(path: Path, reason: str) -> RunError:
    return RunError(f"{path}: {reason}; give a file that python -m nano.explore --export wrote")


def _manifest(path: Path, file: zipfile.ZipFile) -> Manifest:
    try:
        info = file.getinfo(_MANIFEST)
        if info.file_size > _LONGEST_MANIFEST:
            raise _no_archive(path, f"a {_MANIFEST} of {info.file_size} bytes")
        with file.open(info) as member:
            content = member.read(_LONGEST_MANIFEST)
    except KeyError as missing:
        raise _no_archive(path, f"has no {_MANIFEST}") from missing
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as damaged:
        raise _no_archive(path, f"{_MANIFEST}: damaged: {damaged}") from damaged
    where = f"{path}: {_MANIFEST}"
    plain = parse_json(_text(content, where), where, RunError)
    if not isinstance(plain, Mapping) or plain.get("format") != FORMAT:
        raise _no_archive(path, f"{_MANIFEST} is not of ours")
    version = plain.get("version")
    if version != VERSION:
        raise RunError(
            f"{path}: is of format {version}, this version reads {VERSION}; take the version of"
            f" nano that wrote it, or a newer one than this ({versions()['depthnet-nano']})"
        )
    rest = {name: value for name, value in plain.items() if name not in ("format", "version")}
    return from_plain(Manifest, rest, where, RunError)


def _text(content: bytes, where: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as damaged:
        raise RunError(f"{where}: not JSON: {damaged}") from damaged


def _check_members(path: Path, file: zipfile.ZipFile, stated: Mapping[str, Member]) -> None:
    """The archive holds exactly what is stated, under names of ours, as plain files."""
    for name in stated:
        if name not in (STUDY, TRIALS) and not (
            name.startswith(RUN) and is_of_run(name.removeprefix(RUN))
        ):
            raise RunError(f"{path}: states {name!r}, which is no file of a study")
    for lacking in {STUDY, TRIALS} - stated.keys():
        raise RunError(f"{path}: lacks {lacking}")
    for name, times in Counter(file.namelist()).items():
        if times > 1:
            raise RunError(f"{path}: holds {name!r} twice")
    there = [info for info in file.infolist() if info.filename != _MANIFEST]
    for info in there:
        if info.filename not in stated:
            raise RunError(f"{path}: holds {info.filename!r}, which its manifest does not state")
        if info.flag_bits & 1:
            raise RunError(f"{path}: {info.filename} is encrypted")
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
            raise RunError(f"{path}: {info.filename} is a link or a device, not a file")
        if info.file_size != stated[info.filename].bytes:
            raise RunError(f"{path}: {info.filename}: damaged: not of the size that is stated")
    for lacking in sorted(stated.keys() - {info.filename for info in there}):
        raise RunError(f"{path}: lacks {lacking}")
    total = sum(member.bytes for member in stated.values())
    if total > _MOST_OF_A_BYTE * path.stat().st_size + _SPARE:
        raise RunError(
            f"{path}: {path.stat().st_size} bytes that would unfold to {total}: no study does that"
        )
