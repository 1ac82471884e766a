"""What ``wn_rl.watch live=true`` does: an agent plays before one's eyes, until it has played or one has seen enough."""

import signal
import sys
from collections.abc import Iterable, Iterator

from omegaconf import DictConfig
from rich.console import Console

from wn_rl.app.player import Player, load_player
from wn_rl.app.watch_games import check_overlay
from wn_rl.envs.selection import find_action_names
from wn_rl.errors import ConfigurationError
from wn_rl.viewing.commentator import Commentator
from wn_rl.viewing.displays import Display, check_terminal, has_window_system, make_display
from wn_rl.viewing.drawing import Picture, split_action_name
from wn_rl.viewing.live_game import LiveGame, Pacer
from wn_rl.viewing.overlay_parts import format_time
from wn_rl.viewing.video import scale_up

WHERE = {True: "auto", "window": "window", "terminal": "terminal"}


def play_live(config: DictConfig) -> list[str]:
    """Show ``config.episodes`` games as they are played; return a line for each, to be printed afterwards.

    Ctrl-C, or closing the window, ends it early; the terminal is as it was before.
    """
    where = find_place(config)
    player = load_player(config)
    games: list[LiveGame] = []
    previous_handler = signal.signal(signal.SIGTERM, signal.default_int_handler)  # to leave the terminal in order
    display = open_display(where, config, title=f"{player.game}, {player.protocol.label}", console=Console())
    is_ended = False
    try:
        while len(games) < config.episodes and not is_ended:
            games.append(_make_game(player, config, seed=config.seed + len(games)))
            is_ended = not _show(games[-1], player, config, display)
    except KeyboardInterrupt:
        is_ended = True
    finally:
        display.close()
        signal.signal(signal.SIGTERM, previous_handler)
    lines = [f"game {number}: score {game.score:,.0f}" for number, game in enumerate(games, start=1)]
    return [*lines[:-1], lines[-1] + (", not played to its end" if is_ended else "")] if lines else []


def find_place(config: DictConfig) -> str:
    """ "window" or "terminal". Raises ConfigurationError for another word, and for an overlay in a terminal."""
    if config.live not in WHERE:
        raise ConfigurationError(f"live={config.live}: unknown; known: false, true, window, terminal")
    check_overlay(config)
    where = WHERE[config.live]
    if where == "auto":
        where = "window" if has_window_system() else "terminal"
    if where == "terminal":
        _check_readable(config)
    return where


def open_display(where: str, config: DictConfig, *, title: str, console: Console) -> Display:
    """The display, or for ``live=true`` the terminal in place of a window that cannot be opened, told in one line.

    Raises:
        ConfigurationError: neither is to be had, or the terminal cannot show what is asked for.
    """
    try:
        return make_display(where, title=title, console=console)
    except ConfigurationError as error:
        if where == "terminal":
            raise
        if WHERE[config.live] == "window":
            raise ConfigurationError(f"{error}; use live=terminal") from error
        problem = str(error)
    try:
        _check_readable(config)
        check_terminal(console)
    except ConfigurationError as error:
        raise ConfigurationError(f"{problem}; {error}") from error
    print(f"{problem}; playing in the terminal", file=sys.stderr)
    return make_display("terminal", title=title, console=console)


def _check_readable(config: DictConfig) -> None:
    if config.overlay or config.saliency:
        key = "overlay" if config.overlay else "saliency"
        raise ConfigurationError(f"{key}=true cannot be read in a terminal; leave it out, or make a video without live")


def _make_game(player: Player, config: DictConfig, *, seed: int) -> LiveGame:
    return LiveGame(
        game=player.game, protocol=player.protocol, seed=seed, policy=player.make_policy(),
        epsilon=config.epsilon,
    )  # fmt: skip


def _show(game: LiveGame, player: Player, config: DictConfig, display: Display) -> bool:
    """Play a game and show it at its own speed; False if the user closed the display before its end."""
    pacer = Pacer(frames_per_second=player.protocol.frames_per_second)
    names = find_action_names(player.game, player.protocol)
    for index, picture in enumerate(_paint(game, player, config, scale=1 if display.is_coarse else config.scale)):
        if pacer.wait_for_frame():
            action = split_action_name(names[game.actions[-1]]) if game.actions else ""
            time = format_time(index / player.protocol.frames_per_second)
            caption = f"{player.game}  score {game.score:,.0f}  {time}  {action:<16}{display.ending}"
            if not display.show(picture, caption):
                return False
    return True


def _paint(game: LiveGame, player: Player, config: DictConfig, *, scale: int) -> Iterable[Picture]:
    if not (config.overlay or config.saliency):
        return _scale(game, scale)
    commentator = Commentator(
        game=player.game, protocol=player.protocol, find_action=game.actions.__getitem__,
        view=player.make_view(has_saliency=config.saliency),
    )  # fmt: skip
    return commentator.paint(game.play(), scale=scale)


def _scale(game: LiveGame, scale: int) -> Iterator[Picture]:
    return (scale_up(frame.rgb, scale) for frame in game.play())
