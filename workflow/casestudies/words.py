"""Words of the findings: lists, and who wins by the interval of a paired difference."""

from collections.abc import Mapping, Sequence


def listed(names: Sequence[str], comma: str = ",") -> str:
    """Return names as a list in words: "a", "a, and b", "a, b, and c"."""
    return f"{comma} ".join(names[:-1]) + (f"{comma} and " if len(names) > 1 else "") + names[-1]


def verdict(pair: Mapping[str, float], smaller_is_better: bool = True) -> str:
    """Return who wins: "beats", "loses to" or "is not told apart from".

    Parameters
    ----------
    pair
        ``lower`` and ``upper``, the interval of the paired difference, model less reference.
    smaller_is_better
        True of errors, False of skills.
    """
    low, high = pair["lower"], pair["upper"]
    if not smaller_is_better:
        low, high = -high, -low
    if high < 0:
        return "beats"
    return "loses to" if low > 0 else "is not told apart from"
