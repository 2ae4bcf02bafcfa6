import re

import pytest

from benchmarks.declared_resources import RULES, declared, judge
from casestudies.costs.usage import Usage

ASKED = {"memory": 1000, "minutes": 10}


@pytest.mark.parametrize(
    ("seconds", "memory", "wrong"),
    [
        (60, 250, []),
        (60, 301, ["too little memory"]),
        (301, 250, ["too little minutes"]),
        (1, 1, []),  # small as they are, nothing less is asked for
        (1, None, []),
    ],
)
def test_a_step_asks_for_twice_what_it_used(seconds, memory, wrong):
    assert judge(ASKED, Usage(1, seconds, seconds, memory)) == wrong


def test_a_step_that_asks_for_far_too_much_is_named():
    used = Usage(1, 60, 60, 100)
    assert judge({"memory": 3000, "minutes": 60}, used) == ["much memory", "much minutes"]


def test_every_rule_that_is_sent_to_a_cluster_is_read_and_asks_for_more_when_tried_again():
    found = declared()
    assert found["split"] == {"memory": 1000, "minutes": 10}
    text = "".join(path.read_text() for path in RULES.glob("*.smk"))
    rules = re.split(r"^ *rule\b", text, flags=re.MULTILINE)[1:]
    assert len(found) == sum("localrule: True" not in rule for rule in rules)
    for name in ("mem_mb", "runtime"):
        assert text.count(f"{name}=") == text.count(f"{name}=growing(")
