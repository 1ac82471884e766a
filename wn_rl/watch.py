"""``python -m wn_rl.watch``: videos of an agent playing (``agent=...``), or the page of a run (``run=...``)."""

from wn_rl.system.interrupts import listen
from wn_rl.system.missing_packages import explain_missing_packages

if __name__ == "__main__":
    explain_missing_packages()
    listen()  # before what takes long to import

from omegaconf import DictConfig

from wn_rl.app.command_line import import_typed_modules, run_command
from wn_rl.errors import ConfigurationError
from wn_rl.system.fields import switch


def main(config: DictConfig) -> None:
    """Write the page of a run or of many; show an agent at play; or write videos of its games, or of a stored game."""
    given = [key for key in ("run", "agent", "episode") if config[key] is not None]
    if not given:
        raise ConfigurationError(
            "agent is missing; name one, as in: python -m wn_rl.watch agent=runs/Pong/<run>,"
            " or a run for its page: python -m wn_rl.watch run=runs/Pong/<run>"
        )
    if "run" in given and len(given) > 1:
        raise ConfigurationError(f"run={config.run} asks for a page, {given[1]}=... for videos; give one of them")
    for key in ("record", "open", "serve", "overlay", "saliency"):
        switch(key, config[key])
    if type(config.scale) is not int or config.scale < 1:
        raise ConfigurationError(f"scale={config.scale}: needs a whole number of at least 1")
    import_typed_modules(config)
    if config.run is not None:
        from wn_rl.app import watch_pages

        print(watch_pages.show_pages(config))
        return
    if config.live:
        if config.agent is None or config.episode is not None:
            raise ConfigurationError("live=true shows an agent that plays; name it with agent=..., and no episode")
        from wn_rl.app.watch_live import play_live

        print("\n".join(play_live(config)))
        return
    from wn_rl.app import watch_games

    for path in watch_games.show_agent(config) if config.episode is None else watch_games.show_episode(config):
        print(path)


if __name__ == "__main__":
    run_command("watch", main)
