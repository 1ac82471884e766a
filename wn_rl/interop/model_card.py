"""The model card of an agent on the Hugging Face Hub, made of what its ``agent.json`` says."""

import json
from typing import Any

from wn_rl.interop.extras import import_extra
from wn_rl.runs.agent import Agent

_TEXT = """# {game}: a deep Q-network

Trained with `wn_rl` (PyTorch Lightning), normalizer `{normalizer}`, for {agent_steps:,} agent steps. The files are
plain weights (safetensors) and a description (`agent.json`): neither holds code.

{score}

```
pip install "wn_rl[hub]"
python -m wn_rl.evaluate agent=hf:{repository}
python -m wn_rl.watch agent=hf:{repository}
```

Protocol, under which alone scores can be compared:

```json
{protocol}
```

Network:

```json
{network}
```
"""


def make_model_card(agent: Agent, repository: str) -> str:
    """Markdown with the Hub's own front matter, in which the score is a result that it can list.

    Args:
        agent: whose description says game, protocol, network, and how it was evaluated, if it was.
        repository: ``<owner>/<name>``, where the card will lie.
    """
    hub = import_extra("huggingface_hub", extra="hub")
    description = agent.description
    game, evaluation = description["game"], _find_evaluation(description)
    data = hub.ModelCardData(
        library_name="wn_rl", model_name=repository, pipeline_tag="reinforcement-learning",
        tags=["deep-reinforcement-learning", "reinforcement-learning", game],
        eval_results=_list_results(hub, game, evaluation) or None,
    )  # fmt: skip
    text = _TEXT.format(
        game=game, normalizer=description.get("normalizer", description["network"]["normalizer"]),
        agent_steps=description["agent_steps"], score=_describe_score(evaluation), repository=repository,
        protocol=json.dumps(description["protocol"], indent=2), network=json.dumps(description["network"], indent=2),
    )  # fmt: skip
    return f"---\n{data.to_yaml()}\n---\n\n{text}"


def _find_evaluation(description: dict[str, Any]) -> dict[str, Any] | None:
    """How the agent was evaluated; None where it does not say, or not all of it."""
    evaluation = description.get("evaluation")
    if not isinstance(evaluation, dict) or not isinstance(evaluation.get("protocol"), str):
        return None
    numbers = (evaluation.get(key) for key in ("mean", "ci95_low", "ci95_high", "episodes", "epsilon"))
    return evaluation if all(isinstance(number, int | float) for number in numbers) else None


def _list_results(hub: Any, game: str, evaluation: dict[str, Any] | None) -> list[Any]:
    if evaluation is None:
        return []
    return [
        hub.EvalResult(
            task_type="reinforcement-learning", task_name="reinforcement-learning", dataset_type=game,
            dataset_name=f"{game}, protocol {evaluation['protocol']}, epsilon {evaluation['epsilon']}",
            metric_type="mean_reward", metric_name="mean return", metric_value=evaluation["mean"],
        )
    ]  # fmt: skip


def _describe_score(evaluation: dict[str, Any] | None) -> str:
    if evaluation is None:
        return "It carries no evaluation."
    return (
        f"Mean return {evaluation['mean']:.1f}, 95 % interval {evaluation['ci95_low']:.1f} to"
        f" {evaluation['ci95_high']:.1f}, over {evaluation['episodes']} whole games, protocol {evaluation['protocol']},"
        f" epsilon {evaluation['epsilon']}."
    )
