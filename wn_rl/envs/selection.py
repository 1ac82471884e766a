"""Which environments a run plays in: Atari's or Gymnasium's, as its protocol says; everybody else asks here."""

from wn_rl.envs.atari import OBSERVATION, AtariEnvironments
from wn_rl.envs.flicker import FlickeringEnvironments
from wn_rl.envs.games import resolve_game
from wn_rl.envs.gymnasium_environments import GymnasiumEnvironments, check_environment_id
from wn_rl.envs.protocols import AnyProtocol
from wn_rl.types import ObservationSpec, VectorEnvironment


def make_environments(game: str, protocol: AnyProtocol, *, num_envs: int, num_threads: int) -> VectorEnvironment:
    """N environments of a game (or of Gymnasium's environment of that id); threads of their own start here.

    Raises:
        ConfigurationError: there is no such game, or its observations or actions are not supported.
    """
    environments: VectorEnvironment
    if protocol.env == "gymnasium":
        environments = GymnasiumEnvironments(game=game, protocol=protocol, num_envs=num_envs)
    else:
        environments = AtariEnvironments(game=game, protocol=protocol, num_envs=num_envs, num_threads=num_threads)
    probability = protocol.flicker_probability
    return environments if probability == 0 else FlickeringEnvironments(environments, probability=probability)


def check_game(game: str, protocol: AnyProtocol) -> str:
    """The canonical name of a game in any spelling, or Gymnasium's id; ConfigurationError where there is none."""
    return check_environment_id(game) if protocol.env == "gymnasium" else resolve_game(game)


def find_action_names(game: str, protocol: AnyProtocol) -> tuple[str, ...]:
    """The names of a game's actions, in the order of the Q-values."""
    environments = make_environments(game, protocol, num_envs=1, num_threads=1)
    environments.close()
    return environments.action_names


def find_observation(game: str, protocol: AnyProtocol) -> ObservationSpec:
    """What a frame of a game is; ConfigurationError where it is not supported."""
    if protocol.env == "atari":
        return OBSERVATION
    environments = make_environments(game, protocol, num_envs=1, num_threads=1)
    environments.close()
    return environments.observation
