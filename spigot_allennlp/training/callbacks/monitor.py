from collections import defaultdict
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from allennlp.common.checks import ConfigurationError
from allennlp.common.util import dump_metrics
from allennlp.data import Instance
from allennlp.training import GradientDescentTrainer
from allennlp.training.callbacks import TrainerCallback
from allennlp.training.callbacks.log_writer import LogWriterCallback
from allennlp.training.callbacks.tensorboard import TensorBoardCallback
from allennlp.training.util import get_train_and_validation_metrics

from spigot_allennlp.checks import whole
from spigot_allennlp.training import latent
from spigot_allennlp.training.gradient_watch import GradientWatch
from spigot_allennlp.training.latent import Cells, Latent
from spigot_allennlp.training.pictures import as_image, as_svg, latent_pictures


@TrainerCallback.register("spigot_monitor")
class MonitorCallback(TrainerCallback):
    """
    Shows what the gradient through the structure does. Every epoch it adds to the metrics, as the framework's callbacks
    log them:

    * `training_…`: the figures of [`GradientWatch`](../gradient_watch.md), of every so-manieth batch;
    * `validation_…`: the [figures](../latent.md) of the structures that the model chooses for the first sentences of
      the validation data (or, without any, of the training data), always the same.

    And it draws the structures of a few of these sentences, with what has changed since the epoch before, into
    `latent/epoch_….svg` of the serialization directory; `epoch_0` is before training. Where the framework's callback
    "tensorboard" stands beside it and matplotlib is installed, TensorBoard has them too, as the image `latent`.

    It only looks: weights and all other metrics are those that they would be without it. With several workers, the
    figures of gradients are of all of them, those of sentences are of the first one's share. What it has seen is in the
    checkpoints.

    Registered as a `TrainerCallback` with name "spigot_monitor".

    # Parameters

    every : `int`, optional (default = `10`)
        Of the batches, each so-manieth is looked at.
    num_sentences : `int`, optional (default = `100`)
        How many sentences of each kind of validation data are asked for their structures.
    num_pictures : `int`, optional (default = `4`)
        How many of them are drawn; 0 for none.
    """

    def __init__(
        self, serialization_dir: str, every: int = 10, num_sentences: int = 100, num_pictures: int = 4
    ) -> None:
        super().__init__(serialization_dir)
        self.every = whole("every", every)
        self.num_sentences = whole("num_sentences", num_sentences)
        self.num_pictures = whole("num_pictures", num_pictures, at_least=0)
        self._watch: GradientWatch | None = None
        self._kinds: list[list[Instance]] = []
        self._recovered: dict[str, Any] = {}
        self._at_start: list[Cells] | None = None
        self._before: list[Cells] | None = None
        self._names: AbstractSet[str] = set()

    def on_start(self, trainer: GradientDescentTrainer, is_primary: bool = True, **kwargs) -> None:
        super().on_start(trainer, is_primary, **kwargs)
        layer = latent.find_layer(trainer.model)
        if layer is None:
            raise ConfigurationError("spigot_monitor needs a model with an intermediate structure, found none")
        self._watch = GradientWatch(layer, self.every)
        self._watch.__enter__()
        if is_primary:
            loader = trainer._validation_data_loader
            loader = trainer.data_loader if loader is None else loader
            self._kinds = _first_of_each_kind(loader.iter_instances(), self.num_sentences)
        if self._recovered:
            watched = self._recovered["watch"]
            if not is_primary:  # what a checkpoint has is of the first worker
                watched = {**watched, "sums": torch.zeros_like(watched["sums"])}
            self._watch.load_state_dict(watched)
            self._at_start, self._before = (_to_cells(self._recovered[key]) for key in ("at_start", "before"))
        elif is_primary:
            now = self._read()
            self._at_start = self._before = [one.cells for one in now]
            self._draw(now, None, 0)

    def on_epoch(
        self,
        trainer: GradientDescentTrainer,
        metrics: dict[str, Any],
        epoch: int,
        is_primary: bool = True,
        **kwargs,
    ) -> None:
        found = {f"training_{name}": figure for name, figure in self._watch.figures(reset=True).items()}
        if not is_primary:
            return
        now = self._read()
        figures = latent.figures(now, self._before, self._at_start)
        found |= {f"validation_{name}": figure for name, figure in figures.items()}
        self._draw(now, self._before, epoch + 1)
        self._before = [one.cells for one in now]
        for name in self._names - found.keys():  # what there was in the epoch before alone
            del metrics[name]
        self._names = found.keys()
        metrics.update(found)
        dump_metrics(str(Path(self.serialization_dir) / f"metrics_epoch_{epoch}.json"), metrics)
        # Those that come after this one find the figures among the metrics.
        for callback in trainer._callbacks[: trainer._callbacks.index(self)]:
            if isinstance(callback, LogWriterCallback):
                callback.log_epoch(*get_train_and_validation_metrics(found), epoch)

    def on_end(self, trainer: GradientDescentTrainer, *args, **kwargs) -> None:
        if self._watch is not None:
            self._watch.__exit__()

    def state_dict(self) -> dict[str, Any]:
        return {
            "watch": self._watch.state_dict(),
            "at_start": _to_lists(self._at_start),
            "before": _to_lists(self._before),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._recovered = state_dict

    def _read(self) -> list[Latent]:
        return [one for instances in self._kinds for one in latent.read_latent(self.trainer.model, instances)]

    def _draw(self, now: Sequence[Latent], before: Sequence[Cells] | None, epoch: int) -> None:
        instances = [instance for kind in self._kinds for instance in kind][: self.num_pictures]
        if not instances:
            return
        pictures = latent_pictures(self.trainer.model, instances, now, before)
        if not pictures:
            return
        folder = Path(self.serialization_dir) / "latent"
        folder.mkdir(exist_ok=True)
        (folder / f"epoch_{epoch}.svg").write_text(as_svg(pictures), encoding="utf-8")
        for callback in self.trainer._callbacks:
            if isinstance(callback, TensorBoardCallback) and find_spec("matplotlib") is not None:
                callback._validation_log.add_image("latent", as_image(pictures), epoch, dataformats="HWC")


def _first_of_each_kind(instances, limit: int) -> list[list[Instance]]:
    """At most `limit` instances of those with the same fields; several tasks have several kinds."""
    kinds: dict[tuple[str, ...], list[Instance]] = defaultdict(list)
    for instance in instances:
        kind = kinds[tuple(sorted(instance.fields))]
        if len(kind) < limit:
            kind.append(instance)
    return list(kinds.values())


def _to_lists(cells: Sequence[Cells] | None) -> list[list[list[int]]] | None:
    return None if cells is None else [sorted(map(list, sentence)) for sentence in cells]


def _to_cells(lists: list[list[list[int]]] | None) -> list[Cells] | None:
    return None if lists is None else [frozenset(map(tuple, sentence)) for sentence in lists]
