"""The fields of the rules' own controls, without a browser."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ncavideo.app.render_form import AS_ALL, own_controls, own_slots
from ncavideo.app.render_view import own_updates

rules_of_a_set = st.lists(st.sampled_from("abcdefghijkl"), unique=True)


def test_own_controls_are_of_the_rules_that_they_were_told_with() -> None:
    values = {"slots": ["moss", "fire"], "own-0": "edges", "own-1": "hue:0-60"}
    values |= {f"own-{index}": AS_ALL for index in range(2, 8)}
    assert own_controls(values) == {"moss": "edges", "fire": "hue:0-60"}
    assert own_controls({**values, "slots": None}) == {}
    updates = own_updates(["moss", "fire"], ["fire"], {"fire": "hue:0-60"})
    assert list(updates) == [f"own-{index}" for index in range(8)]
    assert [update["visible"] for update in updates.values()] == [False, True] + [False] * 6
    # What is not set stays as the page has it.
    assert "value" not in updates["own-0"] and updates["own-1"]["value"] == "hue:0-60"


@given(st.lists(rules_of_a_set, max_size=6))
def test_a_rule_keeps_its_field_of_own_controls(choices: list[list[str]]) -> None:
    slots: list[str] = []
    for rules in choices:
        before, slots = slots, own_slots(slots, rules)
        assert len(set(slots)) == len(slots) <= 8
        for index, rule in enumerate(before):
            assert slots[index] == rule or rule not in rules
        if len(rules) <= 8:
            assert set(rules) <= set(slots)
