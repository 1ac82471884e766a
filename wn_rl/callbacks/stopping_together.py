"""Several learners stop at the same chunk, whichever of them is told to."""

from wn_rl.callbacks.interruption import Interruption
from wn_rl.callbacks.run_callback import RunCallback


class StoppingTogether(RunCallback):
    """Asks all learners after each chunk, each iteration, and each round of the warm-up whether one is to stop.

    To be after what evaluates and what asks for an end, and before what saves. From there to the end of the next chunk
    a wish to stop waits, or one learner would be gone while the others wait for its gradients.

    Args:
        interruption: who knows whether this process is to stop.
    """

    def __init__(self, interruption: Interruption) -> None:
        self._interruption = interruption

    def on_begin(self) -> None:
        """Nothing is learned yet; the warm-up follows, in which Lightning calls no hooks."""
        show = self.algorithm.on_warmup_round

        def on_warmup_round() -> None:
            show()
            self._agree()

        self.algorithm.on_warmup_round = on_warmup_round
        self._agree()

    def on_chunk_end(self) -> None:
        """A chunk is done."""
        self._agree()

    def on_iteration_end(self) -> None:
        """An iteration is done, and the first learner has evaluated."""
        self._agree()

    def _agree(self) -> None:
        if self.algorithm.learners.is_any(self._interruption.wait_for_chunk()):
            self._interruption.join_in()
