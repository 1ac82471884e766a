"""``python -m wn_rl.watch agent=<run folder, .ckpt, or folder under checkpoints/>``: videos of an agent playing."""

from contextlib import suppress

from omegaconf import DictConfig

from wn_rl.command_line import run_command
from wn_rl.errors import ConfigurationError


def main(config: DictConfig) -> None:
    """Show an agent at play; or write videos of the best, median and worst of some games, or of one stored game."""
    if config.agent is None and config.episode is None:
        raise ConfigurationError("agent is missing; name one, as in: python -m wn_rl.watch agent=runs/Pong/<run>")
    if not isinstance(config.scale, int) or config.scale < 1:
        raise ConfigurationError(f"scale={config.scale}: needs a whole number of at least 1")
    if config.live:
        if config.agent is None:
            raise ConfigurationError("live=true shows an agent that plays; name it with agent=...")
        from wn_rl.live import play_live

        with suppress(KeyboardInterrupt):  # while the agent is loaded
            print("\n".join(play_live(config)))
        return
    from wn_rl import showing

    for path in showing.show_episode(config) if config.agent is None else showing.show_agent(config):
        print(path)


if __name__ == "__main__":
    run_command("watch", main)
