"""Style sheets and scripts: read once, served from memory under an address that changes with their content.

`/assets/<digest>/<room>/<file>`: the digest covers every file, so that a script may import its neighbour by a
relative path and browsers may keep everything for a year.
"""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

PREFIX: Final = "/assets"
PACKAGE: Final = Path(__file__).parents[1]
DIGEST_HEX: Final = 16
MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
FOR_EVER: Final = "public, max-age=31536000, immutable"
NOT_AT_ALL: Final = "no-cache"  # asked for by a page of another version: keep nothing


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, as it is and compressed."""

    plain: bytes
    packed: bytes
    media_type: str


class Assets:
    """The files of every `static` folder of the package, named `<room>/<file>`."""

    def __init__(self, package: Path = PACKAGE) -> None:
        self._files = {
            f"{file.parents[1].name}/{file.name}": _read(file) for file in sorted(package.glob("*/static/*.*"))
        }
        covered = hashlib.sha256()
        for name, asset in self._files.items():
            covered.update(f"{name}\0{len(asset.plain)}\0".encode() + asset.plain)
        self.digest = covered.hexdigest()[:DIGEST_HEX]

    def url(self, name: str) -> str:
        """Return the path of a file, for example of `web/site.css`. Raises KeyError for a file that is not there."""
        if name not in self._files:
            raise KeyError(name)
        return f"{PREFIX}/{self.digest}/{name}"

    async def serve(self, request: Request) -> Response:
        """Answer `/assets/{digest}/{name}`; an old digest gets today's file, which it may not keep."""
        asset = self._files.get(request.path_params["name"])
        if asset is None:
            return Response("Not found\n", 404, media_type="text/plain")
        current = request.path_params["digest"] == self.digest
        headers = {"Cache-Control": FOR_EVER if current else NOT_AT_ALL, "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(asset.packed, headers=headers | {"Content-Encoding": "gzip"}, media_type=asset.media_type)
        return Response(asset.plain, headers=headers, media_type=asset.media_type)


def _read(file: Path) -> Asset:
    plain = file.read_bytes()
    return Asset(plain, gzip.compress(plain, mtime=0), MEDIA_TYPES[file.suffix])
