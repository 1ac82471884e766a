"""Processes that learn one network together: how many they are, which this one is, and what they tell each other."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from wn_rl.errors import ConfigurationError

Told = TypeVar("Told")


class LostLearnerError(ConfigurationError):
    """Another learner is gone, and says why itself, if it can."""


@dataclass(frozen=True)
class Learners:
    """The learners of a run, each a process of PyTorch's process group; one that is alone needs no group.

    Each must call the same methods in the same order: they wait for each other.

    Attributes:
        rank: which this process is, from 0.
        number: how many there are.
        group: PyTorch's, of all of them.
    """

    rank: int = 0
    number: int = 1
    group: distributed.ProcessGroup | None = None

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes the files, evaluates and is seen."""
        return self.rank == 0

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Put the mean over all learners in the place of each tensor, the same bits in every process."""
        if self.number == 1:
            return
        tensors = list(tensors)
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with self._listen():
            distributed.all_reduce(flat, group=self.group)
        flat /= self.number
        for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(mean.view_as(tensor))

    @torch.no_grad()
    def share(self, tensors: Iterable[Tensor]) -> None:
        """Put the first learner's tensors in the place of everybody's."""
        if self.number == 1:
            return
        tensors = list(tensors)
        for tensor, first in zip(tensors, self.tell([tensor.cpu() for tensor in tensors]), strict=True):
            tensor.copy_(first)

    def tell(self, value: Told) -> Told:
        """The first learner's value; those of the others are ignored."""
        if self.number == 1:
            return value
        values = [value]
        with self._listen():
            distributed.broadcast_object_list(values, group=self.group)
        return values[0]

    def gather(self, value: Told) -> list[Told]:
        """The values of all for the first, in their order; for another its own alone."""
        values: list[Any] = [None] * self.number if self.is_first else [value]
        if self.number == 1:
            return [value]
        with self._listen():
            distributed.gather_object(value, values if self.is_first else None, group=self.group)
        return values

    def find_any(self, value: Told | None) -> Told | None:
        """The first value that is not None, for all; None where nobody has one."""
        values: list[Any] = [value] * self.number
        if self.number > 1:
            with self._listen():
                distributed.all_gather_object(values, value, group=self.group)
        return next((value for value in values if value is not None), None)

    def is_any(self, is_so: bool) -> bool:
        """Whether it is so for one at least."""
        return self.find_any(True if is_so else None) is not None

    def check_alike(self, tensors: Iterable[Tensor]) -> None:
        """Make sure that all have the same bits; RuntimeError where they do not."""
        if self.number == 1:
            return
        digest = sha256()
        for tensor in tensors:
            digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
        if self.is_any(self.tell(digest.digest()) != digest.digest()):
            raise RuntimeError("the learners' networks differ, which were one and the same")

    def close(self) -> None:
        """Leave the others."""
        if self.number > 1 and distributed.is_initialized():
            distributed.destroy_process_group()

    @contextmanager
    def _listen(self) -> Iterator[None]:
        """Whatever PyTorch raises where a process does not answer becomes a ConfigurationError of one line."""
        try:
            yield
        except RuntimeError as error:
            told = " ".join(str(error).split())
            reason = told.partition("] ")[2].partition(". ")[0] or told  # behind a line of gloo's source, before advice
            raise LostLearnerError(
                f"learner {self.rank} of {self.number} does not hear from the others: {reason[:150]}"
            ) from error


ALONE = Learners()
