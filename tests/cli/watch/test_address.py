import pytest

from recloser.cli.watch.address import read_address
from recloser.cli.watch.errors import AddressError


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://shop.example/breakers/", "http://shop.example/breakers/"),
        ("http://shop.example/breakers", "http://shop.example/breakers/"),
        ("https://shop.example", "https://shop.example/"),
        ("shop.example:8000", "http://shop.example:8000/"),
        ("127.0.0.1:8000/breakers/status.json", "http://127.0.0.1:8000/breakers/"),
        ("http://[::1]:8000/events?last=3#text=x", "http://[::1]:8000/"),
        ("http://shop.example/some%20where/", "http://shop.example/some%20where/"),
        ("http://me:secret@shop.example/", "http://me:secret@shop.example/"),
        ("http://shop.example/my-events", "http://shop.example/my-events/"),
    ],
)
def test_whatever_page_is_named_the_address_is_that_of_the_dashboard(text: str, url: str) -> None:
    assert str(read_address(text)).replace(":[secure]@", ":secret@") == url


@pytest.mark.parametrize(
    "text", ["", "http://", "ftp://shop.example", "http://shop.example:0", "http:///x", "/x", "x:99999"]
)
def test_what_is_no_http_url_is_refused(text: str) -> None:
    with pytest.raises(AddressError, match="is no HTTP URL; the dashboard's looks like http://"):
        read_address(text)


@pytest.mark.parametrize("text", ["http://shop.example:x", "http://a\x00b/", "http://[::1"])
def test_what_is_no_url_at_all_is_refused(text: str) -> None:
    with pytest.raises(AddressError, match="is no URL: "):
        read_address(text)
