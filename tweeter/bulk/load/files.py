"""Reads lines of plain or gzipped files in bounded memory, whatever the size of the file and of its longest line."""

import codecs
import gzip
import io
import stat
import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO, cast

from tweeter.console.commands import CommandError, describe

CHUNK = 1 << 20
LONGEST_LINE = 1 << 20  # bytes
_GZIP = b"\x1f\x8b"
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_PACKED = {b"PK\3\4": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


def read_lines(path: Path, advance: Callable[[int], None]) -> Iterator[tuple[int, bytes | None]]:
    """Line numbers from 1, and lines without their ends (LF, CR LF, or CR throughout); None for a line that is longer
    than LONGEST_LINE.

    Calls `advance` with the number of bytes read. Raises CommandError for an unreadable file.
    """
    return enumerate(chain.from_iterable(_split(read_chunks(path, advance))), 1)


def size(path: Path) -> int | None:
    """The size of a file in bytes; None for a pipe."""
    try:
        status = path.stat()
    except OSError as error:
        raise CommandError(f"{path} can't be read: {describe(error)}") from error
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _split(chunks: Iterator[bytes]) -> Iterator[list[bytes | None]]:
    """Splits at line feeds. A line that is too long is discarded while it is read."""
    rest, too_long = b"", False
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        if not too_long:
            rest += first
            too_long = len(rest) > LONGEST_LINE
        if too_long:
            rest = b""
        if others:
            lines: list[bytes | None] = [None if too_long else rest, *others[:-1]]
            yield lines
            rest, too_long = others[-1], False
    if rest or too_long:
        yield [None if too_long else rest]


def read_chunks(path: Path, advance: Callable[[int], None]) -> Iterator[bytes]:
    """The content in chunks of CHUNK bytes, unpacked, with line feeds as line ends. See `read_lines`."""
    try:
        with path.open("rb", buffering=CHUNK) as raw:
            # Detected by the first bytes, not by the name.
            head = cast(io.BufferedReader, raw).peek(2)[:2]
            zipped = head == _GZIP
            if path.suffix == ".gz" and head and not zipped:
                raise CommandError(f"{path} is not a gzip file")
            file = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if zipped else raw
            seekable, position = raw.seekable(), 0
            chunk = file.read(CHUNK)
            _check_encoding(path, chunk)
            chunk = chunk.removeprefix(codecs.BOM_UTF8)
            returns = b"\r" in chunk and b"\n" not in chunk  # old Macs, and some exports
            while chunk:
                yield chunk.replace(b"\r", b"\n") if returns else chunk
                if seekable:
                    advance(raw.tell() - position)
                    position = raw.tell()
                else:
                    advance(len(chunk))
                chunk = file.read(CHUNK)
    except EOFError as error:
        raise CommandError(f"{path} ends in the middle: a part of the gzip file is missing") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise CommandError(f"{path} is a damaged gzip file: {error}") from error
    except OSError as error:
        raise CommandError(f"{path} can't be read: {describe(error)}") from error


def _check_encoding(path: Path, beginning: bytes) -> None:
    """Raises CommandError for an encoding that would make every line a bad one."""
    for head, kind in _PACKED.items():
        if beginning.startswith(head):
            raise CommandError(f"{path} is a {kind} file; only plain and gzipped files can be read")
    if beginning.startswith(_WIDE) or b"\0" in beginning[:4]:
        raise CommandError(f"{path} is in UTF-16 or UTF-32, not in UTF-8. Convert it: iconv -f UTF-16 -t UTF-8 {path}")
