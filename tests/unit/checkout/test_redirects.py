"""The address a payer goes back to: the merchant's own part untouched, ours added once (merchant-api.md §11.3)."""

import pytest

from opentill.checkout.redirects import origin_of, with_parameters

OURS = {"payment_id": "0197-uuid", "status": "completed"}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://shop.example/ok", "https://shop.example/ok?payment_id=0197-uuid&status=completed"),
        ("https://shop.example", "https://shop.example?payment_id=0197-uuid&status=completed"),
        ("https://shop.example/ok?a=1", "https://shop.example/ok?a=1&payment_id=0197-uuid&status=completed"),
        ("https://shop.example/ok?", "https://shop.example/ok?payment_id=0197-uuid&status=completed"),
        ("https://shop.example/ok?a=1&", "https://shop.example/ok?a=1&payment_id=0197-uuid&status=completed"),
        ("https://shop.example/ok#top", "https://shop.example/ok?payment_id=0197-uuid&status=completed#top"),
        ("https://shop.example/#/done?x=1", "https://shop.example/?payment_id=0197-uuid&status=completed#/done?x=1"),
        ("https://shop.example/?a=1#b?c", "https://shop.example/?a=1&payment_id=0197-uuid&status=completed#b?c"),
    ],
)
def test_ours_is_joined_behind_the_merchants_own_query_and_before_a_fragment(url: str, expected: str) -> None:
    assert with_parameters(url, OURS) == expected


@pytest.mark.parametrize("query", ["q=%7E%2f+x", "a=ä", "list[]=1&list[]=2", "empty&=x", "a;b=1"])
@pytest.mark.checklist("M42")
def test_the_merchants_own_query_stays_byte_for_byte(query: str) -> None:
    assert with_parameters(f"https://shop.example/?{query}", OURS).startswith(f"https://shop.example/?{query}&")


@pytest.mark.parametrize("own", ["status=mine", "status", "status=", "%73tatus=mine", "x=1&status=mine"])
@pytest.mark.checklist("M42")
def test_a_parameter_the_merchant_has_set_is_not_set_again(own: str) -> None:
    assert with_parameters(f"https://shop.example/?{own}", OURS) == f"https://shop.example/?{own}&payment_id=0197-uuid"


def test_nothing_is_added_where_everything_is_there() -> None:
    url = "https://shop.example/?payment_id=1&status=2#end"
    assert with_parameters(url, OURS) == url


@pytest.mark.checklist("M42")
@pytest.mark.parametrize("escaped", ["&amp;", "&#038;", "&#38;", "&AMP;"])
def test_an_address_that_was_sent_as_html_is_read_as_it_was_meant(escaped: str) -> None:
    url = f"https://shop.example/?cancel_order=true{escaped}order_id=7{escaped}_wpnonce=abc"
    expected = "https://shop.example/?cancel_order=true&order_id=7&_wpnonce=abc&status=cancelled"
    assert with_parameters(url, {"order_id": "ORD-1", "status": "cancelled"}) == expected


def test_values_cannot_leave_their_place() -> None:
    made = with_parameters("https://shop.example/", {"order_id": "a&b=c#d é/?"})
    assert made == "https://shop.example/?order_id=a%26b%3Dc%23d%20%C3%A9%2F%3F"


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://shop.example/a?b", "https://shop.example"),
        ("http://Shop.example:8080/", "http://shop.example:8080"),
        ("https://[::1]:9000/", "https://[::1]:9000"),
        ("https://user:pw@shop.example/", "https://shop.example"),
        ("https://shop.example;script-src *", None),
        ("https://shöp.example/", None),
        ("javascript:alert(1)", None),
    ],
)
def test_an_origin_holds_nothing_that_could_widen_a_content_policy(url: str, origin: str | None) -> None:
    assert origin_of(url) == origin
