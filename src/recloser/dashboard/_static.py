"""The files of the page: a fixed list, read once."""

from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from http import HTTPStatus
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from typing import ClassVar

from recloser._assets import UPLOT
from recloser.dashboard._http import Receive, Response, Scope, Send, header

PAGE = "index.html"

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


class StaticFile:
    """A file that a browser may keep, but has to revalidate each time.

    Args:
        body: The content.
        media_type: The type of the content.
    """

    methods: ClassVar[tuple[str, ...]] = ("GET", "HEAD")

    def __init__(self, body: bytes, media_type: str) -> None:
        self._body = body
        self._tag = f'"{sha256(body).hexdigest()[:32]}"'
        self._headers = {"cache-control": "no-cache", "content-type": media_type, "etag": self._tag}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as all endpoints
        """Respond with the file, or with 304 if the browser has it."""
        known = {tag.strip().removeprefix("W/") for tag in (header(scope, "if-none-match") or "").split(",")}
        if known & {self._tag, "*"}:
            await Response(HTTPStatus.NOT_MODIFIED, b"", self._headers)(scope, send)
        else:
            await Response(HTTPStatus.OK, self._body, self._headers)(scope, send)


@cache
def static_files() -> dict[str, StaticFile]:
    """Return the files by the path that the page uses, without those that a browser does not need."""
    return dict([*_files_in(files("recloser.dashboard") / "static"), *_files_in(UPLOT, "vendor/uplot/")])


def _files_in(directory: Traversable, prefix: str = "") -> Iterator[tuple[str, StaticFile]]:
    for entry in directory.iterdir():
        if media_type := _TYPES.get(PurePosixPath(entry.name).suffix):
            yield prefix + entry.name, StaticFile(entry.read_bytes(), media_type)
