"""The training loop for one objective after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager

import torch

from probe.errors import DataError, MemoryLimitError, OptionError
from probe.io import distributed
from probe.io.progress import Progress
from probe.moesd.config import TrainConfig
from probe.moesd.loop.checkpoint import Checkpoint
from probe.moesd.loop.steps import Objective, Steps, Weights, copy_weights, load_weights


class Loop:
    """AdamW with a cosine schedule and clipped gradients, for one objective after another.

    The stored state always has a finite loss and contains everything that the next step depends on:
    an interrupted and resumed training ends with the same weights, bit for bit.

    Parameters
    ----------
    weights : mapping of str to Tensor
        All weights that any objective trains.
    n_steps : int
        Steps of all objectives, which ``progress`` reports.
    checkpoint : Checkpoint, optional
        Where to store the state.

    Raises
    ------
    ValueError
        If the batches of a step cannot be divided evenly among the processes.
    """

    def __init__(
        self,
        weights: Mapping[str, torch.Tensor],
        config: TrainConfig,
        *,
        n_steps: int,
        checkpoint: Checkpoint | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._weights, self._config, self._n_steps = dict(weights), config, n_steps
        self._checkpoint, self._progress = checkpoint, progress
        self._done = self._phase = 0
        if config.accumulate % (n := distributed.world_size()):
            raise OptionError(
                f"accumulate is {config.accumulate} but {n} processes share the batches of a step; "
                f"set it to a multiple of {n}"
            )
        self._resumed = checkpoint.read() if checkpoint is not None else None
        distributed.barrier()  # all must have read before the first process writes again
        if not distributed.is_first():
            self._checkpoint = self._progress = None

    def run(self, make: Callable[[], Objective], n_steps: int) -> None:
        """Construct one objective, which reads the present weights, and minimise it.

        Raises
        ------
        DataError
            If a loss is not finite; the last finite state stays on disk.
        MemoryLimitError
            If memory does not suffice; the message names the settings to lower.
        """
        phase, self._phase = self._phase, self._phase + 1
        resumed, end = self._resumed, self._done + n_steps
        if resumed is not None and phase > resumed.scalars["phase"]:
            resumed = None
        if resumed is None or phase == resumed.scalars["phase"]:
            if resumed is not None:
                load_weights(self._weights, resumed.group("start"))
            start = copy_weights(self._weights)
            with ExitStack() as stack, self._explaining_memory_errors():
                objective = make()
                if isinstance(objective, AbstractContextManager):
                    stack.enter_context(objective)
                steps = Steps(objective, self._weights, self._config, n_steps=n_steps)
                if resumed is not None:
                    steps.load(resumed)
                self._done += steps.done
                self._minimise(steps, phase, start)
                steps.finish()
        self._done = end
        self._report()

    def finish(self) -> None:
        """Remove the stored state."""
        if self._checkpoint is not None:
            self._checkpoint.remove()

    def _minimise(self, steps: Steps, phase: int, start: Weights) -> None:
        while not steps.is_over:
            drawn_from = steps.rng_state()
            loss = steps.compute()
            if not torch.isfinite(loss):
                raise DataError(self._not_finite(steps, loss))
            if self._checkpoint is not None and self._checkpoint.is_due():
                self._checkpoint.write(steps.state(drawn_from, phase, start))
            steps.update()
            self._done += 1
            if not steps.is_over:
                self._report()

    def _report(self) -> None:
        if self._progress is not None:
            self._progress(self._done, self._n_steps)

    def _not_finite(self, steps: Steps, loss: torch.Tensor) -> str:
        stored = ""
        if self._checkpoint is not None and self._checkpoint.path.exists():
            stored = f"; the last finite state is in {self._checkpoint.path}, which must be removed"
        return (
            f"the {steps.objective.name} loss became {loss.item()} at step {self._done}; lower the "
            f"learning rate (it is {self._config.learning_rate}){stored}"
        )

    @contextmanager
    def _explaining_memory_errors(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            config = self._config
            option = "" if config.checkpointing else ", or set checkpointing = true"
            raise MemoryLimitError(
                f"memory does not suffice for batch_size = {config.batch_size}; lower it (and "
                f"raise accumulate, now {config.accumulate}, to keep the images per step){option}"
            ) from error


def _is_out_of_memory(error: RuntimeError) -> bool:
    # The CPU's allocator raises no class of its own.
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
