"""Which URLs mean one receiver (merchant-api.md §14.5)."""

import pytest

from opentill.webhooks.routing import origin_of, same_address

SHOP = "https://shop.example"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (f"{SHOP}/hook", "HTTPS://Shop.Example:443/hook"),
        (f"{SHOP}/hook", f"{SHOP}/hook#here"),
        ("http://shop.example:80/", "http://shop.example"),
        (f"{SHOP}/wc-api/ownpay/", f"{SHOP}/?wc-api=ownpay"),
        (f"{SHOP}/wc-api/ownpay/", f"{SHOP}/index.php/wc-api/ownpay/"),
        (f"{SHOP}/blog/wc-api/ownpay/", f"{SHOP}/blog/?wc-api=ownpay"),
    ],
)
def test_these_are_one_receiver(one: str, other: str) -> None:
    assert same_address(one, other)
    assert same_address(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (f"{SHOP}/hook", f"{SHOP}/hook/"),
        (f"{SHOP}/hook", f"{SHOP}/Hook"),
        (f"{SHOP}/hook", f"{SHOP}/hook?a=1"),
        (f"{SHOP}/hook", f"{SHOP}:8443/hook"),
        (f"{SHOP}/hook", "http://shop.example/hook"),
        (f"{SHOP}/wc-api/ownpay/", f"{SHOP}/wc-api/other/"),
        (f"{SHOP}/wc-api/ownpay/", f"{SHOP}/blog/?wc-api=ownpay"),
        (f"{SHOP}/?wc-api=ownpay", f"{SHOP}/?wc-api=ownpay&x=1"),
        (f"{SHOP}/wc-api/ownpay/", "https://other.example/wc-api/ownpay/"),
    ],
)
def test_these_are_two_receivers(one: str, other: str) -> None:
    assert not same_address(one, other)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Shop.Example:443/hook?x=1", "https://shop.example"),
        ("http://shop.example:8080/", "http://shop.example:8080"),
        ("https://[2001:DB8::1]:8443/x", "https://[2001:db8::1]:8443"),
        ("https://shop.example/?wc-api=ownpay", "https://shop.example"),
    ],
)
def test_the_origin_is_scheme_host_and_port(url: str, origin: str) -> None:
    assert origin_of(url) == origin
