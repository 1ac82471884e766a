"""Does the picture glow where the value of the chosen action depends on a pixel, and nowhere else?"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.helpers.networks import draw_frames, make_trained
from tests.helpers.scalar_atari import MACHADO
from tests.viewing.test_overlay import make_moment, make_painter
from tests.viewing.test_recorder import make_view, mean_of_newest_frame, play
from wn_rl.networks.pixels import ScalePixels
from wn_rl.networks.saliency import compute_saliency
from wn_rl.nn.folding import make_folded
from wn_rl.types import QOutput
from wn_rl.viewing import recorder
from wn_rl.viewing.drawing import YELLOW
from wn_rl.viewing.recorder import record_episode
from wn_rl.viewing.saliency_pictures import SaliencyFilter, make_saliency_function, paint_saliency


class LinearNetwork(nn.Module):
    """q(x, a) = Σ weight[a] x: its gradient is known."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = ScalePixels(None)
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(3, 2, 4, 5, generator=generator), requires_grad=False)

    def forward(self, observations: torch.Tensor) -> QOutput:
        return QOutput(q_values=torch.einsum("bshw,ashw->ba", self.scale(observations), self.weight))


def test_saliency_of_a_linear_network_is_its_weight() -> None:
    network, noise = LinearNetwork(), torch.randn(6, 2, 4, 5, generator=torch.Generator().manual_seed(1))
    observation = torch.randint(0, 256, (2, 4, 5), dtype=torch.uint8)
    for action in range(3):
        saliency = compute_saliency(network, observation, action, noise=noise)
        torch.testing.assert_close(saliency, network.weight[action].abs().sum(0))


@pytest.mark.parametrize("head", ["linear", "dueling"])
def test_saliency_is_the_gradient_of_the_chosen_action_alone(head: str) -> None:
    network = make_folded(make_trained("weight_norm", head=head))
    observation = draw_frames(seed=3)[0]
    pixels = (observation / 255).requires_grad_()
    features = network.torso.layers[1:](pixels[None])
    network.head(features).q_values[0, 2].backward()
    saliency = compute_saliency(network, observation, 2, noise=torch.zeros(1, *observation.shape))
    assert pixels.grad is not None
    torch.testing.assert_close(saliency, pixels.grad.abs().sum(0), rtol=1e-4, atol=1e-6)
    assert not any(module._forward_hooks for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_same_noise_is_used_for_every_frame() -> None:
    compute = make_saliency_function(make_folded(make_trained("weight_norm")))
    observation = draw_frames(seed=3)[0]
    first = compute(observation, 1, None)
    compute(draw_frames(seed=4)[0], 0, None)
    assert torch.equal(compute(observation, 1, None), first)


def test_nothing_is_painted_where_nothing_depends_on_a_pixel() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
    saliency = np.zeros((20, 30), np.float32)
    saliency[4, 7] = 1.0
    painted = paint_saliency(picture, saliency)
    is_gray = (painted == picture[:, :, None]).all(axis=2)
    assert not is_gray[4, 7]
    is_gray[4, 7] = True
    assert is_gray.all()


def test_what_glows_is_yellow_and_a_bright_ball_stays_brighter_than_the_field() -> None:
    picture = np.array([[87, 236]], np.uint8)
    field, ball = paint_saliency(picture, np.ones((1, 2), np.float32))[0].astype(int)
    assert ball.sum() > 1.3 * field.sum()
    for pixel in (field, ball):
        assert pixel[0] > pixel[2] + 40  # yellow lacks blue
        np.testing.assert_allclose(pixel[:2] / pixel[0], np.array(YELLOW[:2]) / YELLOW[0], atol=0.06)


def test_the_filter_keeps_to_the_unit_interval_and_a_dark_moment_after_a_bright_one_is_dark() -> None:
    generator = np.random.default_rng(0)
    view = SaliencyFilter()
    bright = [view.update(generator.random((84, 84), np.float32)) for _ in range(5)]
    dark = [view.update(0.01 * generator.random((84, 84), np.float32)) for _ in range(8)]
    assert all(picture.min() >= 0 and 0.5 < picture.max() <= 1 for picture in bright)
    assert bright[0].max() == 1
    assert dark[-1].max() < 0.1
    assert SaliencyFilter().update(np.zeros((84, 84), np.float32)).max() == 0


def test_the_observation_alone_changes_when_it_glows() -> None:
    moment = make_moment()
    saliency = np.zeros((84, 84), np.float32)
    saliency[40:44, 40:44] = 1
    plain, glowing = (
        make_painter().paint_panel(moment._replace(saliency=each)).astype(int) for each in (None, saliency)
    )
    rows, columns = np.nonzero(np.abs(plain - glowing).sum(axis=2))
    assert rows.min() >= 48  # the observation begins there
    assert rows.max() < 250  # the bars begin there
    assert columns.max() < 310  # the score begins there
    assert np.abs(plain - glowing)[48 + 80 : 48 + 88, 18 + 80 : 18 + 88].sum() > 0


def test_the_action_that_was_taken_is_the_one_that_is_explained(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    record = play("Pong", MACHADO, num_agent_steps=8)
    asked: list[tuple[torch.Tensor, int]] = []

    def explain(observation: torch.Tensor, action: int, memory: torch.Tensor | None) -> torch.Tensor:
        asked.append((observation, action))
        return torch.ones(84, 84)

    monkeypatch.setattr(recorder, "write_video", lambda path, frames, **_: len(list(frames)))
    monkeypatch.setattr(recorder, "write_poster", lambda path, frame: None)
    record_episode(
        record, tmp_path / "a.mp4", scale=3, view=make_view(mean_of_newest_frame, saliency=explain),
    )  # fmt: skip
    assert [action for _, action in asked] == record.actions.tolist()
    assert all(int((observation[-1] > 0).sum()) > 1000 for observation, _ in asked)
