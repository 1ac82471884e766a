"""What ``wn_rl.watch`` does: from an agent or stored games to videos, with a progress bar."""

from pathlib import Path

from omegaconf import DictConfig
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from wn_rl.app.player import load_player, play_episodes
from wn_rl.envs.rendering import load_episode, load_episodes
from wn_rl.errors import ConfigurationError
from wn_rl.runs.layout import VIDEOS_FOLDER
from wn_rl.system.terminals import make_progress_bar
from wn_rl.viewing.overlay import SMALLEST_SCALE
from wn_rl.viewing.recorder import record_best_median_worst, record_episode


def show_agent(config: DictConfig) -> list[Path]:
    """Write best, median and worst of the agent's games: of stored ones, or played now."""
    check_overlay(config)
    player = load_player(config)
    records = play_episodes(player, config) if config.episodes_dir is None else load_episodes(Path(config.episodes_dir))
    folder = player.find_output_folder(config.output_dir) / VIDEOS_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with _make_encoding_bar() as progress:
        tasks = {}

        def on_frame(rank: str, done: int, total: int) -> None:
            if rank not in tasks:
                tasks[rank] = progress.add_task(f"encoding {rank}", total=total)
            progress.update(tasks[rank], completed=done)

        return record_best_median_worst(
            records, folder, scale=config.scale, on_frame=on_frame,
            view=player.make_view(has_saliency=config.saliency) if config.overlay or config.saliency else None,
        )  # fmt: skip


def check_overlay(config: DictConfig) -> None:
    """Raises ConfigurationError where what is drawn beside the game would be too small to read."""
    if (config.overlay or config.saliency) and config.scale < SMALLEST_SCALE:
        key = "overlay" if config.overlay else "saliency"
        raise ConfigurationError(f"{key}=true needs scale={SMALLEST_SCALE} or more, got scale={config.scale}")


def show_episode(config: DictConfig) -> list[Path]:
    """Write one stored game; with an agent, what that agent sees of it may be drawn beside it."""
    check_overlay(config)
    overlay = config.overlay or config.saliency
    if overlay and config.agent is None:
        key = "overlay" if config.overlay else "saliency"
        raise ConfigurationError(f"{key}=true draws what an agent sees; name it with agent=...")
    source = Path(config.episode)
    record = load_episode(source)
    player = load_player(config) if overlay else None
    if player is not None and player.game != record.game:
        raise ConfigurationError(f"{source} is a game of {record.game}, and agent={config.agent} plays {player.game}")
    folder = source.parent if config.output_dir is None else Path(config.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{source.stem}-{record.episode_return:.10g}.mp4"
    with _make_encoding_bar() as progress:
        task = progress.add_task("encoding", total=record.num_frames)
        record_episode(
            record, path, scale=config.scale,
            view=None if player is None else player.make_view(has_saliency=config.saliency),
            on_frame=lambda done, total: progress.update(task, completed=done, total=total),
        )  # fmt: skip
    return [path]


def _make_encoding_bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return make_progress_bar(*columns, transient=False)
