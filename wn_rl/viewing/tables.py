"""How an evaluation is told: on a line while training goes on, as a table by ``wn_rl.evaluate``.

Both are made from the row of ``evaluations.jsonl``, and never show a score without its protocol, number of
games, epsilon and training.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions
from rich.table import Table
from rich.text import Text

from wn_rl.runs.scores import MIN_INTERVAL_GAMES
from wn_rl.viewing.status_display import flow, format_return


@dataclass(frozen=True)
class EvaluationLine:
    """One evaluation of a training run, on one line where there is room.

    Attributes:
        title: what was evaluated, ``iteration 3/40``.
        row: the evaluation's, as in ``evaluations.jsonl``.
        minutes: since training began.
    """

    title: str
    row: Mapping[str, Any]
    minutes: float

    def to_line(self) -> str:
        """Everything in one line of ASCII."""
        return f"{self.title}: " + " | ".join(self._describe())

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """The title in bold; what does not fit goes below it, indented."""
        separator = " | " if options.ascii_only else " · "
        first, *others = flow([self.title, *self._describe()], separator=separator, width=options.max_width - 1)
        first.stylize("bold", 0, len(self.title))
        yield first
        yield from others

    def _describe(self) -> list[str]:
        row = self.row
        interval = f" [{format_return(row['ci95_low'])}, {format_return(row['ci95_high'])}]"
        pieces = [f"mean {format_return(row['mean'])}{interval if row['episodes'] >= MIN_INTERVAL_GAMES else ''}"]
        if row["human_normalized"] is not None:
            pieces.append(f"human-normalized {row['human_normalized']:.2f}")
        pieces += [
            f"{self.minutes:.1f} min",
            f"{row['agent_steps']:,} agent steps",
            count_games(row["episodes"]),
            f"{row['protocol']}",
            f"epsilon {row['epsilon']:g}",
        ]
        return pieces


def print_evaluation_table(row: Mapping[str, Any], console: Console | None = None) -> None:
    """Print an evaluation as a table of names and values; plain text where the output is no terminal.

    Args:
        row: as ``make_evaluation_row`` makes it.
        console: where to print; None: the standard output.
    """
    console = Console() if console is None else console
    table = Table.grid(padding=(0, 3))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(justify="right", style="bold", no_wrap=True)
    table.add_column(style="bright_black")
    for name, value, remark in _make_rows(row):
        table.add_row(name, value, remark)
    console.print()
    console.print(Text(f"{row['game']}, {count_games(row['episodes'])}", style="bold"))
    console.print(table)
    console.print()


def _make_rows(row: Mapping[str, Any]) -> list[tuple[Text, Text, Text]]:
    human_normalized = row["human_normalized"]
    texts = [
        ("mean return", format_return(row["mean"]), _describe_interval(row)),
        ("median", format_return(row["median"]), ""),
        ("lowest", format_return(row["min"]), ""),
        ("highest", format_return(row["max"]), ""),
        (
            "human-normalized",
            "-" if human_normalized is None else f"{human_normalized:.3f}",
            "no human score known" if human_normalized is None else "0 is random play, 1 a human tester",
        ),
        ("mean length", f"{row['mean_agent_steps']:,.0f}", "agent steps"),
        ("protocol", str(row["protocol"]), ""),
        ("epsilon", f"{row['epsilon']:g}", "probability of a random action"),
        ("seed", str(row["seed"]), "of the evaluation"),
        ("trained for", f"{row['agent_steps']:,}", "agent steps"),
    ]
    return [(Text(name), Text(value), Text(remark)) for name, value, remark in texts]  # no markup in brackets


def _describe_interval(row: Mapping[str, Any]) -> str:
    if row["episodes"] < MIN_INTERVAL_GAMES:
        return f"no interval of fewer than {MIN_INTERVAL_GAMES} games"
    return f"95 % interval [{format_return(row['ci95_low'])}, {format_return(row['ci95_high'])}]"


def count_games(num_episodes: int) -> str:
    """1 game, 10 games."""
    return "1 game" if num_episodes == 1 else f"{num_episodes} games"
