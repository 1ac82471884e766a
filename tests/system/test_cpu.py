"""Memory that an update frees serves the next one: without that it asks for 8,000 pages, a few with it."""

import platform
import subprocess
import sys

import pytest

MEASURE = """
import resource
import torch
from wn_rl.networks.q_network import make_q_network
from wn_rl.system.cpu import use_processor
from wn_rl.envs.atari import OBSERVATION
use_processor({num_threads})
network = make_q_network(
    torso="nature", head="linear", normalizer="none", num_actions=6, stack_size=4, observation=OBSERVATION,
    hidden_units=512, generator=None,
)
frames = torch.zeros(128, 4, 84, 84, dtype=torch.uint8)
def update():
    network.zero_grad()
    network(frames).q_values.sum().backward()
for _ in range(3):
    update()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(2):
    update()
print(torch.get_num_threads(), (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 2)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_updates_do_not_ask_the_system_for_memory_again_and_again() -> None:
    command = [sys.executable, "-c", MEASURE.format(num_threads=1)]
    num_threads, new_pages = map(int, subprocess.check_output(command, text=True).split())
    assert num_threads == 1
    assert new_pages < 1000
