"""Reading JSON from strangers, and the one form all spellings of a body share."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentill.kernel.number import Number, OutOfRangeError, ordinary
from opentill.web.json_body import DEPTH_MAX, MalformedJson, canonical, read, write

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(TEXT, inside, max_size=4),
    max_leaves=12,
)


def test_numbers_stay_as_they_were_written() -> None:
    assert read(b"[1.50, -0, 1e3]") == ["1.50", "-0", "1e3"]
    assert all(isinstance(number, Number) for number in read(b"[1, 2.5]"))
    assert not isinstance(read(b'"1"'), Number)


@given(VALUES)
def test_the_canonical_form_is_what_python_writes(value: object) -> None:
    """pix-api.md §4 defines it by `json.dumps`; whole numbers are all it has."""
    expected = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    assert canonical(read(json.dumps(value).encode())) == expected
    assert canonical(read(json.dumps(value, ensure_ascii=False, indent=3).encode())) == expected


def test_a_number_and_a_text_of_the_same_characters_stay_apart() -> None:
    assert canonical(read(b'{"a": 1}')) != canonical(read(b'{"a": "1"}'))
    assert canonical(read(b'{"a": 1.0}')) != canonical(read(b'{"a": 1}'))
    assert canonical(read(rb'{"a": "\\u00001"}')) == rb'{"a":"\\u00001"}'


@pytest.mark.parametrize("levels", [1, DEPTH_MAX])
def test_nesting_is_allowed_up_to_its_limit(levels: int) -> None:
    read(b"[" * levels + b"]" * levels)

    with pytest.raises(MalformedJson):
        read(b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1))


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert len(read(b"[" + b"[]," * 500 + b"[]]")) == 501


def test_answers_are_compact_and_leave_letters_alone() -> None:
    assert write({"a": "ção/", "b": [1, None]}) == '{"a":"ção/","b":[1,null]}'.encode()


def test_numbers_that_are_only_passed_on_become_ordinary_ones() -> None:
    assert ordinary(read(b'{"a": [1, 1.50, -2], "b": true}')) == {"a": [1, 1.5, -2], "b": True}
    for literal in (b"1e999", b"-1e999", b"1" * 16, b"9" * 5000):
        with pytest.raises(OutOfRangeError):
            ordinary(read(literal))
