import pytest

from casestudies.words import listed, verdict


def test_lists_in_words():
    assert listed(["a"]) == "a"
    assert listed(["a", "b"]) == "a, and b"
    assert listed(["a", "b", "c"], ";") == "a; b; and c"


@pytest.mark.parametrize(
    ("low", "high", "error", "skill"),
    [
        (-2, -1, "beats", "loses to"),
        (1, 2, "loses to", "beats"),
        (-1, 1, *["is not told apart from"] * 2),
    ],
)
def test_who_wins_depends_on_what_is_better(low, high, error, skill):
    pair = {"lower": low, "upper": high}
    assert verdict(pair) == error and verdict(pair, smaller_is_better=False) == skill
