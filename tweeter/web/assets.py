"""Static files, compressed once. Their URLs contain a fingerprint, so browsers keep them for a year without asking.

`style.css` is `/static/style.0123456789ab.css`. A URL with another fingerprint, or with none, shows the current file,
which browsers check again at each use. During a deployment, a page of the new version may request its files from a
process of the old one. Scripts import each other by such URLs, too.
"""

import hashlib
import mimetypes
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import Response

from tweeter.web.compression import choose, compressed_once

FOLDER = Path(__file__).with_name("static")
CODINGS = ("br", "gzip")
COMPRESSED = ("text/", "image/svg+xml")
FOREVER = "public, max-age=31536000, immutable"
CHECKED = "public, no-cache"
DAY = "public, max-age=86400"

_imported = re.compile(rb'(?<=["\']\./)[\w-]+(?=\.js["\'])')
_split = re.compile(r"([\w-]+)(?:\.([0-9a-f]{12}))?(\.\w+)").fullmatch


class Asset(NamedTuple):
    """A static file."""

    body: bytes
    kind: str  # its content type
    fingerprint: str


class Assets:
    """The files of a folder, read when the site starts. With `reload` they are read for each request."""

    def __init__(self, folder: Path = FOLDER, reload: bool = False) -> None:
        self._folder = folder
        self._reload = reload
        self._files: dict[str, Asset] = {}
        for path in folder.iterdir():
            if path.is_file():
                self._add(path.name)

    def _add(self, name: str) -> Asset:
        """Reads a file, and before it those that it imports, because its imports contain their fingerprints."""
        if name not in self._files:
            body = (self._folder / name).read_bytes()
            if name.endswith(".js"):
                body = _imported.sub(self._with_fingerprint, body)
            self._files[name] = _asset(name, body)
        return self._files[name]

    def _with_fingerprint(self, stem: re.Match[bytes]) -> bytes:
        return stem[0] + b"." + self._add(f"{stem[0].decode()}.js").fingerprint.encode()

    def path(self, name: str) -> str:
        """The URL path of a file."""
        stem, _, suffix = name.rpartition(".")
        return f"/static/{stem}.{self._files[name].fingerprint}.{suffix}"

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Each file by the name in its URL; compressed ones have .gz or .br behind it."""
        for name, asset in self._files.items():
            unique = self.path(name).rpartition("/")[2]
            yield unique, asset.body
            if asset.kind.startswith(COMPRESSED):
                for suffix, coding in (("gz", "gzip"), ("br", "br")):
                    yield f"{unique}.{suffix}", compressed_once(asset.body, coding)

    def serve(self, request: Request, name: str, caching: str = "") -> Response:
        """The file. Raises HTTPNotFound."""
        match = _split(name)
        known = match and match[1] + match[3]
        if not match or known not in self._files:
            raise HTTPNotFound
        asset = _asset(known, (self._folder / known).read_bytes()) if self._reload else self._files[known]
        body, coding = asset.body, ""
        if asset.kind.startswith(COMPRESSED):
            coding = choose(request.environ.get("HTTP_ACCEPT_ENCODING", ""), CODINGS)
            body = compressed_once(body, coding) if coding else body
        response = Response(body, content_type=asset.kind, etag=f"{asset.fingerprint}{coding}", vary="Accept-Encoding")
        response.charset = "UTF-8" if asset.kind.startswith("text/") else None
        response.content_encoding = coding or None
        lasting = asset.fingerprint == match[2] and not self._reload
        response.headers["Cache-Control"] = caching or (FOREVER if lasting else CHECKED)
        response.conditional_response = True
        return response


def _asset(name: str, body: bytes) -> Asset:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Asset(body, kind, hashlib.blake2b(body, digest_size=6).hexdigest())
