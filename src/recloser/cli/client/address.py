"""The address of a dashboard, as users write it."""

from urllib.parse import urlsplit

import httpx

from recloser.cli.client.errors import AddressError

__all__ = ["read_address"]

_HIGHEST_PORT = 65_535
_ENDPOINTS = ("status.json", "events")


def read_address(text: str) -> httpx.URL:
    """Return a dashboard's URL, whichever of its pages the address names.

    Args:
        text: An HTTP URL; without a scheme, http is assumed.

    Returns:
        The URL of the page itself, which ends in a slash, without a fragment.

    Raises:
        AddressError: It is no HTTP URL, or it has a query. The message does not repeat it: it may hold a password.
    """
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        path = parts.path
        for endpoint in _ENDPOINTS:
            path = path.removesuffix(f"/{endpoint}")
        url = httpx.URL(parts._replace(path=path.rstrip("/") + "/", fragment="").geturl())
        port_is_good = url.port is None or 0 < url.port <= _HIGHEST_PORT
    except (httpx.InvalidURL, ValueError):
        port_is_good, url = False, httpx.URL()
    if url.scheme not in {"http", "https"} or not url.host or not port_is_good:
        raise AddressError("this is no HTTP URL; the dashboard's looks like http://127.0.0.1:8000/breakers/")
    if url.query:
        raise AddressError("a query (the part after ?) is not sent; send what a login needs with --header")
    return url
