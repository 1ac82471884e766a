"""``accelerator=mps``, as far as can be told where there is none: float32, and no copy that reads what is gone."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers.configurations import compose_config
from wn_rl.app.build import make_device
from wn_rl.app.configuration import resolve_configuration
from wn_rl.errors import ConfigurationError
from wn_rl.system.memory import send

ROOT = Path(__file__).parents[2]


def resolve(*words: str) -> Any:
    return resolve_configuration(compose_config("train", "game=Pong", "num_envs=8", *words))


@pytest.fixture
def _apple(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_: True)


@pytest.mark.usefixtures("_apple")
def test_apples_gpu_computes_in_float32_with_frames_in_the_hosts_memory() -> None:
    config = resolve("accelerator=mps", "replay.capacity=1000", "warmup_agent_steps=800")
    assert (config.accelerator, config.precision, config.minibatch_parts) == ("mps", "32-true", 1)
    assert config.replay.storage in ("ram", "compressed")
    assert make_device(config) == torch.device("mps")
    assert resolve("accelerator=auto").accelerator == "cpu"


@pytest.mark.usefixtures("_apple")
@pytest.mark.parametrize("word", ["precision=bf16-mixed", "replay.storage=device", "minibatch_parts=2"])
def test_what_nobody_has_seen_there_is_refused(word: str) -> None:
    with pytest.raises(ConfigurationError, match=r"accelerator=.*mps|not mps"):
        resolve("accelerator=mps", word)


def test_where_there_is_none_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ConfigurationError, match=r"PyTorch sees no GPU of Apple's; use accelerator=cpu"):
        resolve("accelerator=mps")


@pytest.mark.parametrize(("device", "is_waited_for"), [("cuda", False), ("mps", True), ("cpu", True)])
def test_a_copy_to_any_device_but_cudas_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, device: str, is_waited_for: bool
) -> None:
    given: list[tuple[torch.device, bool]] = []
    monkeypatch.setattr(torch.Tensor, "to", lambda t, where, *, non_blocking: given.append((where, non_blocking)) or t)
    send(torch.zeros(1), torch.device(device))
    assert given == [(torch.device(device), not is_waited_for)]


def test_nothing_else_copies_without_waiting() -> None:
    named = [path.name for path in (ROOT / "wn_rl").rglob("*.py") if "non_blocking" in path.read_text(encoding="utf-8")]
    assert named == ["memory.py"]
