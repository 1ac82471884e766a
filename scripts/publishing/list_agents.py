"""Write the table in checkpoints/README.md from the agents' own files.

python -m scripts.publishing.list_agents
"""

import json
from pathlib import Path
from typing import Any

from scripts.publishing.marked_sections import replace_section
from scripts.studies.learning_curves import FRAMES_PER_AGENT_STEP

CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"
HEADER = (
    "| agent | mean return [95 % interval] | median | human-normalized | games | protocol, epsilon | normalizer, preset"
    " | agent steps (frames) | training | weights |"
)


def describe_agent(folder: Path) -> str:
    """A line of the table."""
    description: dict[str, Any] = json.loads((folder / "agent.json").read_text())
    score, steps = description["evaluation"], description["agent_steps"]
    hardware = description["hardware"]
    return " | ".join([
        f"| [{folder.name}]({folder.name}/video.mp4)",
        f"{score['mean']:.1f} [{score['ci95_low']:.1f}, {score['ci95_high']:.1f}]",
        f"{score['median']:.1f}",
        "none" if score["human_normalized"] is None else f"{score['human_normalized']:.2f}",
        f"{score['episodes']}",
        f"{score['protocol']}, {score['epsilon']}",
        f"{description['normalizer']}, {description['config']['preset']}",
        f"{steps:,} ({FRAMES_PER_AGENT_STEP * steps / 1e6:.2f} M)",
        f"{description['training_minutes']:.0f} min on {hardware['gpu'] or hardware['processor']}",
        f"{(folder / 'weights.safetensors').stat().st_size / 1e6:.1f} MB |",
    ])  # fmt: skip


def write_table(checkpoints: Path) -> None:
    """Replace the table in the folder's README.md."""
    agents = sorted(path.parent for path in checkpoints.glob("*/agent.json"))
    lines = [HEADER, "|" + "---|" * (HEADER.count("|") - 1), *(describe_agent(folder) for folder in agents)]
    replace_section(checkpoints / "README.md", "agents", "\n".join(lines))


if __name__ == "__main__":
    write_table(CHECKPOINTS)
