"""Which preset ``train`` takes where nobody names one."""

import shutil

import pytest

from wn_rl.app.default_preset import choose_preset


@pytest.mark.parametrize(
    ("has_gpu", "words", "expected"),
    [
        (False, ["game=Breakout"], "quick"),
        (False, ["game=Breakout", "-m", "seed=0,1", "network=dueling"], "quick"),
        (False, ["game=Breakout", "preset=dopamine"], None),
        (False, ["game=Breakout", "algorithm=pqn"], None),
        (False, ["env=gymnasium", "env.id=CartPole-v1"], None),
        (False, ["resume=runs/Breakout/one"], None),
        (False, ["game=Breakout", "accelerator=gpu"], None),
        (True, ["game=Breakout"], None),
        (True, ["game=Breakout", "accelerator=cpu"], "quick"),
    ],
)
def test_it_is_the_quick_one_where_there_is_no_gpu_and_nothing_else_was_asked_for(
    has_gpu: bool, words: list[str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if has_gpu else None)
    assert choose_preset(words) == expected
