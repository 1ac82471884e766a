"""Is every spelling of a game understood, at once, and every unknown one answered with the nearest?"""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from ale_py import registration, roms

from wn_rl.envs.games import TWO_PLAYER_ROM_NAMES, available_games, resolve_game, rom_name
from wn_rl.errors import ConfigurationError


@pytest.mark.parametrize(
    "spelling",
    [
        "SpaceInvaders",
        "spaceinvaders",
        "space_invaders",
        "SPACE_INVADERS",
        "space-invaders",
        " SpaceInvaders ",
        "ALE/SpaceInvaders-v5",
        "SpaceInvaders-v5",
        "SpaceInvaders-v0",
        "SpaceInvadersNoFrameskip-v4",
        "SpaceInvadersDeterministic-v4",
    ],
)
def test_every_spelling_of_a_game_gives_its_canonical_name(spelling: str) -> None:
    assert resolve_game(spelling) == "SpaceInvaders"
    assert rom_name(spelling) == "space_invaders"


def test_the_games_are_those_that_gymnasium_registers() -> None:
    expected = {
        registration.rom_id_to_name(rom): rom for rom in roms.get_all_rom_ids() if rom not in TWO_PLAYER_ROM_NAMES
    }
    assert available_games() == sorted(expected)
    assert {game: rom_name(game) for game in available_games()} == expected
    assert len(available_games()) >= 100
    assert {"TicTacToe3D", "Breakout", "Qbert", "Jamesbond", "UpNDown"} <= set(available_games())


def test_no_two_spellings_collide() -> None:
    assert len({resolve_game(rom_name(game)) for game in available_games()}) == len(available_games())


def test_a_game_for_two_that_would_end_the_process_is_unknown() -> None:
    """ALE answers loadROM("combat") with exit(1)."""
    for rom in TWO_PLAYER_ROM_NAMES:
        with pytest.raises(ConfigurationError, match="unknown game"):
            resolve_game(rom)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("Brekout", "Breakout"),
        ("spaceinvader", "SpaceInvaders"),
        ("ALE/Pongg-v5", "Pong"),
        ("Q*bert2", "Qbert"),
    ],
)
def test_an_unknown_game_is_answered_in_one_line_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve_game(name)
    message = str(caught.value)
    assert repr(name) in message
    assert f"did you mean {nearest}" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "screen"),
    [("ALE/Pong-ram-v5", "ALE/Pong-v5"), ("Pong-ramNoFrameskip-v4", "PongNoFrameskip-v4"), ("pong-ram", "pong")],
)
def test_observations_of_the_memory_are_refused(name: str, screen: str) -> None:
    with pytest.raises(ConfigurationError, match=f"agents see the screen, .*; say game={screen}$"):
        resolve_game(name)


@pytest.mark.parametrize("name", ["", "xyzzyxyzzyxyzzy", "ALE/-v5"])
def test_a_name_that_is_near_no_game_is_answered_with_examples(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"unknown game .*choose one of \d+, such as Adventure"):
        resolve_game(name)


def test_an_unknown_game_is_reported_before_anything_heavy_is_imported() -> None:
    program = (
        "import sys\n"
        "from wn_rl.envs.games import resolve_game\n"
        "try:\n"
        "    resolve_game('Brekout')\n"
        "except ValueError as error:\n"
        "    print(error)\n"
        "heavy = {'torch', 'ale_py', 'gymnasium', 'numpy', 'cv2', 'lightning', 'hydra'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    began = time.perf_counter()
    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert time.perf_counter() - began < 2.0
    assert result.stdout.splitlines() == ["unknown game 'Brekout': did you mean Breakout?", "[]"]
