import pytest

from recloser.cli.client.address import read_address
from recloser.cli.client.errors import AddressError


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://shop.example/breakers/", "http://shop.example/breakers/"),
        ("http://shop.example/breakers", "http://shop.example/breakers/"),
        ("https://shop.example", "https://shop.example/"),
        ("shop.example:8000", "http://shop.example:8000/"),
        ("127.0.0.1:8000/breakers/status.json", "http://127.0.0.1:8000/breakers/"),
        ("http://[::1]:8000/events#text=x?", "http://[::1]:8000/"),
        ("http://shop.example/a%2Fb/c%3Fd", "http://shop.example/a%2Fb/c%3Fd/"),
        ("http://shop.example/some%20where/", "http://shop.example/some%20where/"),
        ("http://me:secret@shop.example/", "http://me:secret@shop.example/"),
        ("http://shop.example/my-events", "http://shop.example/my-events/"),
    ],
)
def test_whatever_page_is_named_the_address_is_that_of_the_dashboard(text: str, url: str) -> None:
    assert str(read_address(text)).replace(":[secure]@", ":secret@") == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://",
        "ftp://me:secret@shop.example",
        "http://shop.example:0",
        "http:///x",
        "/x",
        "x:99999",
        "http://shop.example:x",
        "http://a\x00b/",
        "http://[::1",
        "http://me:se/cret@shop.example/",
    ],
)
def test_what_is_no_http_url_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(AddressError) as refused:
        read_address(text)
    assert str(refused.value) == "this is no HTTP URL; the dashboard's looks like http://127.0.0.1:8000/breakers/"


def test_a_query_is_refused() -> None:
    with pytest.raises(AddressError, match="a query .* is not sent; send what a login needs with --header"):
        read_address("http://shop.example/breakers/?token=secret")
