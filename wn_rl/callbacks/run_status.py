"""Where does a run stand? Read from the algorithm's own counters, once per refresh of the display."""

from wn_rl.algorithms.dqn import DQN
from wn_rl.viewing.status import TrainingStatus


def compute_status(module: DQN) -> TrainingStatus:
    """The state of a run between two of its chunks, or amid its warm-up.

    Nothing is waited for: loss and speed are those that the metrics have read from the device already.
    """
    run_length, agent_steps = module.settings.run_length, module.agent_steps
    # Lightning counts an interrupted epoch as finished, and a finished one as running until its evaluation is done
    num_finished = min(module.current_epoch, agent_steps // run_length.iteration_agent_steps)
    if agent_steps >= run_length.total_agent_steps and module.current_epoch >= run_length.num_iterations:
        num_finished = run_length.num_iterations  # the last one may be shorter
    iteration_begin = num_finished * run_length.iteration_agent_steps
    iteration_end = run_length.compute_iteration_end(num_finished)
    warms_up = agent_steps < module.settings.warmup_agent_steps
    latest, statistics = module.metrics.latest, module.collector.compute_statistics()
    return TrainingStatus(
        iteration=num_finished,
        num_iterations=run_length.num_iterations,
        agent_steps=agent_steps,
        total_agent_steps=run_length.total_agent_steps,
        agent_steps_per_second=latest.get("speed/agent_steps_per_second", 0.0),
        mean_return=statistics.get("train/mean_return"),
        num_episodes=module.collector.num_episodes,
        epsilon=1.0 if warms_up else module.settings.epsilon(agent_steps),
        loss=latest.get("train/loss"),
        phase="warm-up" if warms_up else "training",
        phase_done=agent_steps if warms_up else max(0, agent_steps - iteration_begin),
        phase_total=module.settings.warmup_agent_steps if warms_up else max(0, iteration_end - iteration_begin),
    )
