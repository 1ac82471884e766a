"""``python -m wn_rl.evaluate agent=<run folder | .ckpt | folder under checkpoints/>``: what is the agent worth?"""

from wn_rl.system.interrupts import listen
from wn_rl.system.missing_packages import explain_missing_packages

if __name__ == "__main__":
    explain_missing_packages()
    listen()  # before what takes long to import

from omegaconf import DictConfig

from wn_rl.app.command_line import import_typed_modules, run_command
from wn_rl.errors import ConfigurationError
from wn_rl.system.callable_module import make_callable


def main(config: DictConfig) -> None:
    """Play whole games, print the table, append the JSON line and keep the games."""
    if config.agent is None:
        raise ConfigurationError("agent is missing; name one, as in: python -m wn_rl.evaluate agent=runs/Pong/<run>")

    import_typed_modules(config)
    from wn_rl.app.player import evaluate_player, load_player
    from wn_rl.runs.evaluations import append_json_line, save_episodes
    from wn_rl.runs.layout import EPISODES_FOLDER, EVALUATIONS_FILE
    from wn_rl.viewing.tables import print_evaluation_table

    player = load_player(config)
    folder = player.find_output_folder(config.output_dir)
    row, records = evaluate_player(player, config)
    print_evaluation_table(row)
    append_json_line(folder / EVALUATIONS_FILE, row)
    name = f"evaluate-{row['agent_steps']:09d}-{row['protocol']}-epsilon{config.epsilon}-seed{config.seed}"
    save_episodes(folder / EPISODES_FOLDER / name, records)
    print(f"games: {folder / 'episodes' / name}; line: {folder / 'evaluations.jsonl'}")


if __name__ != "__main__":
    make_callable(__name__, calls="wn_rl.app.python_agents.evaluate")
else:
    run_command("evaluate", main)
