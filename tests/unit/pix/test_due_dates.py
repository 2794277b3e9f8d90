"""What a charge with a due date costs on a day, and on which day it may be paid for the last time."""

from datetime import date, timedelta

import pytest

from opentill.pix.business_days import business_days_between, easter, holidays, next_business_day
from opentill.pix.due import Owed, Rate, Terms, owed, read_terms

pytestmark = pytest.mark.checklist("L19")

TUESDAY = date(2026, 3, 31)


def terms(**changed: object) -> Terms:
    return Terms(**({"original": 10_000, "due_on": TUESDAY, "days_after": 30} | changed))  # type: ignore[arg-type]


def test_the_example_of_the_specification_costs_a_hundred_and_five() -> None:
    asked = read_terms(
        {"dataDeVencimento": "2026-03-31", "validadeAposVencimento": 30},
        {
            "original": "100.00",
            "multa": {"modalidade": 2, "valorPerc": "3.00"},
            "juros": {"modalidade": 2, "valorPerc": "1.00"},
            "desconto": {"modalidade": 1, "descontoDataFixa": [{"data": "2026-03-20", "valorPerc": "5.00"}]},
        },
    )
    assert owed(asked, TUESDAY + timedelta(days=2)) == Owed(10_000, fine=300, interest=200)
    assert owed(asked, TUESDAY + timedelta(days=2)).total == 10_500
    assert owed(asked, date(2026, 3, 20)).total == 9_500  # the last day of its discount
    assert owed(asked, date(2026, 3, 21)).total == 10_000
    assert owed(asked, TUESDAY).total == 10_000


def test_a_due_date_and_the_last_day_move_to_business_days() -> None:
    weekend = terms(due_on=date(2021, 8, 28), days_after=5)
    assert weekend.counted_from == date(2021, 8, 30)
    assert weekend.last_day == date(2021, 9, 6)
    late = Rate(2, 100)
    assert owed(terms(due_on=date(2021, 8, 28), interest=late), date(2021, 8, 30)).interest == 0
    assert owed(terms(due_on=date(2021, 8, 28), interest=late), date(2021, 8, 31)).interest == 100


@pytest.mark.parametrize(
    ("kind", "value", "interest"),
    [
        (1, 50, 400),  # 0.50 a day, eight days
        (2, 100, 800),  # 1 % a day
        (3, 300, 80),  # 3 % a month
        (4, 3650, 80),  # 36.5 % a year
        (5, 50, 250),  # the same on five business days: Good Friday and a weekend are among the eight
        (6, 100, 500),
        (7, 300, 71),
        (8, 3650, 72),
    ],
)
def test_interest_grows_by_its_kind(kind: int, value: int, interest: int) -> None:
    assert owed(terms(interest=Rate(kind, value)), date(2026, 4, 8)).interest == interest


@pytest.mark.parametrize(("kind", "part"), [(1, 250), (2, 250)])
def test_fine_and_rebate_are_fixed_or_a_share(kind: int, part: int) -> None:
    late = owed(terms(fine=Rate(kind, 250), rebate=Rate(kind, 250)), date(2026, 4, 1))
    assert (late.fine, late.rebate, late.total) == (part, part, 10_000)
    assert owed(terms(fine=Rate(kind, 250), rebate=Rate(kind, 250)), TUESDAY).total == 9_750


@pytest.mark.parametrize(
    ("kind", "value", "discount"),
    [(3, 100, 1_100), (4, 100, 700), (5, 50, 550), (6, 50, 350)],
)
def test_a_discount_for_early_payment_shrinks_day_by_day(kind: int, value: int, discount: int) -> None:
    early = date(2026, 3, 20)  # eleven days early, seven of them business days
    assert owed(terms(discount=Rate(kind, value)), early).discount == discount
    assert owed(terms(discount=Rate(kind, value)), TUESDAY).discount == 0


@pytest.mark.parametrize(("kind", "expected"), [(1, (900, 900, 500, 500, 100, 0)), (2, (900, 900, 500, 500, 100, 0))])
def test_each_of_three_discounts_holds_to_the_end_of_its_date(kind: int, expected: tuple[int, ...]) -> None:
    steps = ((date(2026, 3, 10), 900), (date(2026, 3, 20), 500), (date(2026, 3, 31), 100))
    days = (date(2026, 3, 1), date(2026, 3, 10), date(2026, 3, 11), date(2026, 3, 20), TUESDAY, date(2026, 4, 1))
    asked = terms(discount=Rate(kind, 0, steps))
    assert tuple(owed(asked, day).discount for day in days) == expected


def test_parts_are_rounded_half_up_each_by_itself() -> None:
    assert owed(terms(original=1_050, fine=Rate(2, 100), interest=Rate(2, 100)), date(2026, 4, 1)).total == 1_072


def test_holidays_follow_easter() -> None:
    assert [easter(year) for year in (2021, 2024, 2026, 2038)] == [
        date(2021, 4, 4),
        date(2024, 3, 31),
        date(2026, 4, 5),
        date(2038, 4, 25),
    ]
    assert {date(2026, 2, 16), date(2026, 2, 17), date(2026, 4, 3), date(2026, 6, 4)} <= holidays(2026)
    assert date(2023, 11, 20) not in holidays(2023)
    assert next_business_day(date(2026, 12, 25)) == date(2026, 12, 28)
    assert business_days_between(TUESDAY, date(2026, 4, 8)) == 5
