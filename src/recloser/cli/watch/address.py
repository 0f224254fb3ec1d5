"""Where a dashboard is, as users write it."""

import httpx

from recloser.cli.watch.errors import AddressError

__all__ = ["read_address"]

_HIGHEST_PORT = 65_535
_ENDPOINTS = ("status.json", "events")


def read_address(text: str) -> httpx.URL:
    """Return a dashboard's URL, whichever of its pages is named.

    Args:
        text: An HTTP URL; without a scheme it is one of http.

    Returns:
        The URL of the page itself, which ends in a slash, without a query and a fragment.

    Raises:
        AddressError: It is no HTTP URL; the message says what is wrong with it.
    """
    try:
        url = httpx.URL(text if "://" in text else f"http://{text}")
        port_is_good = url.port is None or 0 < url.port <= _HIGHEST_PORT
    except (httpx.InvalidURL, ValueError) as error:
        raise AddressError(f"{text!r} is no URL: {error}") from None
    if url.scheme not in {"http", "https"} or not url.host or not port_is_good:
        raise AddressError(f"{text!r} is no HTTP URL; the dashboard's looks like http://127.0.0.1:8000/breakers/")
    path = url.path
    for endpoint in _ENDPOINTS:
        path = path.removesuffix(f"/{endpoint}")
    return url.copy_with(path=path.rstrip("/") + "/", query=None, fragment=None)
