"""The table at the end of make prove."""

from tally import KINDS, table


def test_the_table_adds_up_what_all_trials_have_told_and_has_a_row_for_each_kind() -> None:
    told = [{"kind": "races", "tried": 2, "lost": 1}, {"kind": "races", "tried": 3}, {"kind": "power cuts", "tried": 4}]
    rows = [line.rsplit(maxsplit=5) for line in table(told).splitlines()]
    assert rows[0] == ["tried", "lost", "doubled", "torn", "hung"]
    assert {name: figures for name, *figures in rows[1:]} == {kind: ["0"] * 5 for kind in KINDS} | {
        "races": ["5", "1", "0", "0", "0"],
        "power cuts": ["4", "0", "0", "0", "0"],
    }
