"""Where a run stands: read from the algorithm's own counters, once per refresh of the display."""

from wn_rl.algorithms.algorithm import Algorithm
from wn_rl.viewing.status import TrainingStatus


def compute_status(algorithm: Algorithm) -> TrainingStatus:
    """The state of a run between two of its chunks, or amid its warm-up.

    Nothing is waited for: loss and speed are those that the metrics have read from the device already.
    """
    run_length, agent_steps = algorithm.run_length, algorithm.agent_steps
    # Lightning counts an interrupted epoch as finished, and a finished one as running until its evaluation is done
    num_whole = agent_steps // run_length.iteration_agent_steps
    num_finished = min(algorithm.current_epoch, num_whole + run_length.num_rests)
    if agent_steps >= run_length.total_agent_steps and algorithm.current_epoch >= run_length.num_iterations:
        num_finished = run_length.num_iterations  # the last one may be shorter
    iteration_begin = (num_finished - run_length.num_rests) * run_length.iteration_agent_steps
    iteration_end = run_length.compute_iteration_end(num_finished)
    warms_up = agent_steps < algorithm.warmup_agent_steps
    latest, statistics = algorithm.metrics.latest, algorithm.compute_statistics()
    return TrainingStatus(
        iteration=num_finished,
        num_iterations=run_length.num_iterations,
        agent_steps=agent_steps,
        total_agent_steps=run_length.total_agent_steps,
        agent_steps_per_second=latest.get("speed/agent_steps_per_second", 0.0),
        mean_return=statistics.get("train/mean_return"),
        num_episodes=int(statistics.get("train/episodes", 0)),
        epsilon=1.0 if warms_up else statistics["train/epsilon"],
        loss=latest.get("train/loss"),
        phase="warm-up" if warms_up else "training",
        phase_done=agent_steps if warms_up else max(0, agent_steps - iteration_begin),
        phase_total=algorithm.warmup_agent_steps if warms_up else max(0, iteration_end - iteration_begin),
    )
