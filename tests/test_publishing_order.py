"""A date that loses an order is published before the date that wins the order, unless both swap orders."""

import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.stages.publishing_order import publishing_order

DATES = [f"2025-01-{day:02}" for day in range(1, 13)]
LOSSES = st.dictionaries(st.sampled_from(DATES), st.sets(st.sampled_from(DATES), max_size=4))


def test_dates_that_lose_no_order_are_published_sorted():
    assert publishing_order({"2025-01-17": set(), "2025-01-15": set(), "2025-01-16": set()}) == [
        "2025-01-15",
        "2025-01-16",
        "2025-01-17",
    ]


def test_a_date_that_loses_an_order_comes_before_the_date_that_wins_it():
    assert publishing_order({"2025-01-15": set(), "2025-01-16": {"2025-01-15"}}) == ["2025-01-16", "2025-01-15"]


def test_a_date_that_wins_one_order_and_loses_another_stands_between_the_two():
    assert publishing_order({"2025-01-15": set(), "2025-01-16": {"2025-01-17"}, "2025-01-17": {"2025-01-15"}}) == [
        "2025-01-16",
        "2025-01-17",
        "2025-01-15",
    ]


def test_dates_that_swap_orders_stand_together_sorted():
    swap = {"2025-01-16": {"2025-01-15"}, "2025-01-15": {"2025-01-16"}}
    assert publishing_order(swap) == ["2025-01-15", "2025-01-16"]


def test_a_swap_leaves_losers_first_to_the_dates_around_it_and_to_those_that_have_nothing_to_do_with_it():
    found = publishing_order(
        {
            "2025-01-15": {"2025-01-16"},
            "2025-01-16": {"2025-01-15", "2025-01-14"},
            "2025-01-17": {"2025-01-16"},
            "2025-01-14": set(),
            "2025-01-19": {"2025-01-18"},
            "2025-01-18": set(),
        }
    )
    assert [date for date in found if date < "2025-01-18"] == ["2025-01-17", "2025-01-15", "2025-01-16", "2025-01-14"]
    assert [date for date in found if date >= "2025-01-18"] == ["2025-01-19", "2025-01-18"]


def test_a_date_that_wins_and_is_not_published_does_not_count():
    assert publishing_order({"2025-01-16": {"2025-01-17"}, "2025-01-15": {"2025-01-17"}}) == [
        "2025-01-15",
        "2025-01-16",
    ]


def test_thousands_of_dates_of_which_each_loses_an_order_to_the_next_one_are_published_losers_first():
    dates = [f"{number:05}" for number in range(20_000)]
    chain = {date: {following} for date, following in itertools.pairwise(dates)}
    assert publishing_order(chain | {dates[-1]: set()}) == dates
    assert publishing_order(chain | {dates[-1]: {dates[0]}}) == dates


@given(LOSSES)
@settings(max_examples=300, deadline=None)
def test_whatever_dates_lose_to_each_other_losers_come_first_unless_they_are_on_one_circle(winners):
    found = publishing_order(winners)
    assert sorted(found) == sorted(winners)
    for loser in winners:
        for winner in winners[loser] & winners.keys():
            if not reaches(winners, winner, loser):
                assert found.index(loser) < found.index(winner)


@given(LOSSES, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_the_order_depends_on_the_losses_only_not_on_the_order_in_which_they_were_found(winners, chance):
    assert publishing_order(shuffled(winners, chance)) == publishing_order(winners)


def shuffled(winners: dict[str, set[str]], chance: random.Random) -> dict[str, set[str]]:
    dates = list(winners)
    chance.shuffle(dates)
    return {date: set(chance.sample(sorted(winners[date]), len(winners[date]))) for date in dates}


def reaches(winners: dict[str, set[str]], start: str, end: str) -> bool:
    """Whether orders were lost from one date to the next all the way from start to end, over published dates."""
    reached, before = {start}, set()
    while reached != before:
        before = reached
        reached = reached | {winner for date in reached for winner in winners[date] & winners.keys()}
    return end in reached
