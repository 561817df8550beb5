"""The order in which dates that win orders from each other are published."""

from collections.abc import Mapping, Set


def publishing_order(winners: Mapping[str, Set[str]]) -> list[str]:
    """The dates, each once: a date comes before those that win orders from it.

    `winners` has every date that is published, with the dates that win an order from it; winners that are no key do not
    count. Dates on one circle, such as two that swap orders, have no such order: they stand together, sorted.
    The same winners give the same order.
    """
    to_winners = {date: sorted(winners[date] & winners.keys()) for date in sorted(winners)}
    to_losers: dict[str, list[str]] = {date: [] for date in to_winners}
    for loser, following in to_winners.items():
        for winner in following:
            to_losers[winner].append(loser)
    # Kosaraju: from the dates that are finished last, along reversed edges, each search reaches one circle only
    seen: set[str] = set()
    finished = [date for start in reversed(to_winners) for date in _reached(start, to_winners, seen)]
    seen.clear()
    circles = [sorted(_reached(start, to_losers, seen)) for start in reversed(finished)]
    return [date for circle in circles for date in circle]


def _reached(start: str, edges: Mapping[str, list[str]], seen: set[str]) -> list[str]:
    """The dates reached from start that are not in `seen`, which they join; each after those reached through it."""
    if start in seen:
        return []
    seen.add(start)
    reached: list[str] = []
    path = [(start, iter(edges[start]))]
    while path:
        date, following = path[-1]
        unseen = next((other for other in following if other not in seen), None)
        if unseen is None:
            path.pop()
            reached.append(date)
        else:
            seen.add(unseen)
            path.append((unseen, iter(edges[unseen])))
    return reached
