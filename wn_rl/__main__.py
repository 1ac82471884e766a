"""``python -m wn_rl``, installed as ``wn-rl``: the commands by their names, as in ``wn-rl train game=Breakout``."""

import runpy
import sys
from difflib import get_close_matches

import wn_rl
from wn_rl.system.interrupts import EXIT_INTERRUPTED, listen, tell_interruption
from wn_rl.system.missing_packages import explain_missing_packages

COMMANDS = {
    "train": "train an agent on a game, or go on with a run that was stopped",
    "evaluate": "play whole games with an agent and print its score",
    "watch": "videos of an agent at play, live or recorded; pages of runs",
    "study": "run a declared comparison over games and seeds, and report it",
    "paper": "the other experiments of the weight normalization paper: CIFAR-10, autoencoder, DRAW",
    "export": "give an agent to other programs: ONNX, Stable-Baselines3, the Hugging Face Hub, ...",
    "games": "list the games, and the normalizers that networks are made with",
    "completion": "let the Tab key complete the words of wn-rl in bash, zsh or fish",
}


def main() -> None:
    """Run the command that is named first; without one, list them all."""
    explain_missing_packages()
    listen()
    name, *words = sys.argv[1:] or ["--help"]
    if name == "--version":
        print(f"wn_rl {wn_rl.__version__}")
    elif name in ("--help", "-h", "help"):
        print("\n".join(["Commands, each with --help of its own:", "", *_list_commands()]))
    elif name == "games":
        _list_games()
    elif name == "completion":
        _complete(words)
    elif name in COMMANDS:
        sys.argv[1:] = words
        runpy.run_module(f"wn_rl.{name}", run_name="__main__", alter_sys=True)
    else:
        nearest = get_close_matches(name, COMMANDS, n=1)
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        print(f"error: {name!r} is no command; they are {', '.join(COMMANDS)}{hint}", file=sys.stderr)
        sys.exit(2)


def _list_commands() -> list[str]:
    return [f"  python -m wn_rl {name:<10}{what}" for name, what in COMMANDS.items()]


def _list_games() -> None:
    from wn_rl.envs.games import available_games
    from wn_rl.errors import ConfigurationError
    from wn_rl.nn.normalizers import NORMALIZERS

    try:
        print(f"game=...: {', '.join(available_games())}")
        print(f"normalizer=...: {', '.join(NORMALIZERS)}")
    except KeyboardInterrupt:
        tell_interruption()
        sys.exit(EXIT_INTERRUPTED)
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def _complete(words: list[str]) -> None:
    """``completion bash`` prints what a shell reads when it starts, ``completion --words ...`` what the key finds."""
    from wn_rl.app.shells import SCRIPTS
    from wn_rl.errors import ConfigurationError

    if len(words) == 1 and words[0] in SCRIPTS:
        print(SCRIPTS[words[0]])
        return
    try:
        if words[:1] != ["--words"] or len(words) == 1:
            advice = 'eval "$(wn-rl completion bash)"'
            raise ConfigurationError(
                f"completion knows {', '.join(SCRIPTS)}, got {' '.join(words) or 'no shell'}; as in: {advice}"
            )
        from wn_rl.app.completion import complete  # which reads YAML

        print("\n".join(complete(words[1:], COMMANDS)))
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
