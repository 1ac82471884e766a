"""The error against the Bellman target, for whatever a head says of returns: values, quantiles or atoms."""

from collections.abc import Callable

from torch import Tensor

from wn_rl.losses.categorical import compute_categorical_loss, project
from wn_rl.losses.q_learning import TransitionLoss, compute_value_loss, select_action
from wn_rl.losses.quantile_regression import compute_quantile_loss
from wn_rl.losses.value_rescaling import compute_target
from wn_rl.types import Batch, QOutput, SequenceBatch

Evaluation = Callable[[Tensor], Tensor]
"""From what is said of every action, [B, A, *Z], to what is said of the policy that follows, [B, *Z]."""


def compute_error(
    output_tm1: QOutput, output_t: QOutput, evaluate: Evaluation, batch: Batch | SequenceBatch, *,
    error_function: str, rescales: bool = False,
) -> TransitionLoss:  # fmt: skip
    """Of Q(s_tm1, a_tm1) against y = r_t + discount_t v_t.

    Args:
        output_tm1, output_t: what the online network says of s_tm1, and the target network of s_t.
        evaluate: v_t from what the target network says of every action.
        batch: r_t and discount_t, which are those of every quantile and atom.
        error_function: of Q-values themselves.
        rescales: whether values, quantiles and atoms are h of returns (value_rescaling.py).
    """
    r_t, discount_t = batch.r_t, batch.discount_t
    if output_tm1.logits is not None:
        assert output_t.logits is not None
        assert output_t.atoms is not None
        y = compute_target(r_t, discount_t, output_t.atoms.expand(len(r_t), -1), rescales=rescales)
        target = project(y, evaluate(output_t.logits).softmax(dim=1), output_t.atoms)
        return compute_categorical_loss(select_action(output_tm1.logits, batch.a_tm1), target)
    if output_tm1.quantiles is not None:
        assert output_t.quantiles is not None
        y = compute_target(r_t, discount_t, evaluate(output_t.quantiles), rescales=rescales)
        return compute_quantile_loss(select_action(output_tm1.quantiles, batch.a_tm1), y, batch.taus_tm1)
    y = compute_target(r_t, discount_t, evaluate(output_t.q_values), rescales=rescales)
    predicted = select_action(output_tm1.q_values, batch.a_tm1)
    return compute_value_loss(predicted, y, error_function=error_function)
