"""The sequence in which dates are published if orders move from one date to another."""

from collections.abc import Mapping, Set


def publishing_order(winners: Mapping[str, Set[str]]) -> list[str]:
    """The dates, each once. A date that loses orders comes before the dates that win them.

    The keys of `winners` are the dates to publish. Its values are the dates that win an order from the key; a winner
    that is no key is ignored. Dates on a circle, such as two dates that swap orders, stand together, sorted. The same
    winners always give the same order.
    """
    to_winners = {date: sorted(winners[date] & winners.keys()) for date in sorted(winners)}
    to_losers: dict[str, list[str]] = {date: [] for date in to_winners}
    for loser, following in to_winners.items():
        for winner in following:
            to_losers[winner].append(loser)
    # Kosaraju's algorithm: a search along reversed edges, from the date finished last, reaches one circle only
    seen: set[str] = set()
    finished = [date for start in reversed(to_winners) for date in _reached(start, to_winners, seen)]
    seen.clear()
    circles = [sorted(_reached(start, to_losers, seen)) for start in reversed(finished)]
    return [date for circle in circles for date in circle]


def _reached(start: str, edges: Mapping[str, list[str]], seen: set[str]) -> list[str]:
    """The dates that a depth-first search from `start` finds, in postorder. Skips dates in `seen` and adds to it."""
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
