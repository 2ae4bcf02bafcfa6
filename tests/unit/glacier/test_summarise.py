import pandas as pd
import pytest

from casestudies.glacier.summarise import finding


def tables(lower: float, upper: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    scores = pd.DataFrame(
        [("loyo", "lasso", 0.9), ("loyo", "deep_ensemble", 0.7), ("loyo", "chosen", 0.65)],
        columns=["scheme", "model", "estimate"],
    ).assign(metric="rmse", lower=0.5, upper=1.0)
    pairs = pd.DataFrame(
        [("loyo", "deep_ensemble", "lasso", -0.2, lower, upper)],
        columns=["scheme", "model", "reference", "estimate", "lower", "upper"],
    )
    return scores, pairs


@pytest.mark.parametrize(
    ("lower", "upper", "headline", "verdict"),
    [
        (-0.3, -0.1, "the network is better for a new year.", "beats the lasso"),
        (-0.3, 0.1, "is not told apart for a new year.", "is not told apart from the lasso"),
        (0.1, 0.3, "the network is worse for a new year.", "loses to the lasso"),
    ],
)
def test_the_interval_decides_and_the_numbers_are_filled_in(lower, upper, headline, verdict):
    text = finding(*tables(lower, upper))
    assert headline in text.splitlines()[0]
    assert verdict in text and "0.70 [0.50, 1.00]" in text
    assert f"[{lower:+.2f}, {upper:+.2f}]" in text


def test_without_a_network_there_is_nothing_to_compare():
    scores, pairs = tables(0, 0)
    text = finding(scores[scores["model"] != "deep_ensemble"], pairs)
    assert text == "No network and linear model were both fitted."
