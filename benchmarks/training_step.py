"""
Where the time of a training step goes, and what a surrogate gradient adds to it: two tables, by hand.

    python -m benchmarks.training_step training_configs/syntactic_then_semantic/ewt_spigot.jsonnet

Trains the config's model on some batches of its own training data. Every batch is stepped once with each method in
`--methods` as the `intermediate`, so that whatever else the machine does hits all of them alike. The first table has
the median time of a step; the second its parts, averaged, for the first method; the third how much of its CPU time
goes into LSTMs and matrix products, below which no step of this model can be.
"""

import argparse
import itertools
import resource
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import torch
from allennlp.common import Params
from allennlp.common.util import prepare_environment
from allennlp.data import DataLoader, DatasetReader, Vocabulary
from allennlp.models import Model
from allennlp.training.optimizers import Optimizer
from torch.profiler import profile

import spigot_allennlp.plugin  # noqa: F401
from spigot_allennlp.surrogates import StructuredArgmax


class Clock:
    """Sums up the time spent in wrapped callables; of nested ones, the outermost."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.on = False
        self._busy = False

    def wrap(self, owner: Any, attribute: str, name: str) -> None:
        function = getattr(owner, attribute)

        def timed(*args: Any, **kwargs: Any) -> Any:
            if self._busy or not self.on:
                return function(*args, **kwargs)
            self._busy = True
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[name] += time.perf_counter() - start
                self._busy = False

        owner.__dict__[attribute] = timed

    def hook(self, module: torch.nn.Module, name: str) -> None:
        """Times the backward pass of a module whose inputs have gradients."""
        starts: list[float] = []

        def stop(*_: Any) -> None:
            if self.on:
                self.seconds[name] += time.perf_counter() - starts.pop()

        module.register_full_backward_pre_hook(lambda *_: starts.append(time.perf_counter()))
        module.register_full_backward_hook(stop)

    def measure(self, name: str, function: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = function()
        if self.on:
            self.seconds[name] += time.perf_counter() - start
        return result


def stages(model: Model) -> dict[str, Model]:
    return {name: child for name, child in model.named_children() if isinstance(child, Model)}


def watch(model: Model, clock: Clock) -> None:
    """Times each part of each stage, forward and backward, and what is left of the model."""
    seen = set()
    for prefix, owner in {**stages(model), "": model}.items():
        for name, child in owner.named_children():
            if not isinstance(child, Model) and child is not model.intermediate and id(child) not in seen:
                seen.add(id(child))
                part = f"{prefix}.{name}".removeprefix(".")
                clock.wrap(child, "forward", f"forward: {part}")
                if name.endswith(("encoder", "scorer", "feedforward")):
                    clock.hook(child, f"backward: {part}")
        structure = getattr(owner, "structure", None)
        for method in ("argmax", "best_labels"):
            if structure is not None and structure is not model.intermediate.structure and hasattr(structure, method):
                clock.wrap(structure, method, f"forward: {prefix} argmax")


def watch_intermediate(layer: StructuredArgmax, clock: Clock) -> None:
    """The layer's forward and, on its own structure, what it asks for in the backward pass."""
    clock.wrap(layer, "forward", "forward: intermediate")
    for method in ("argmax", "project", "project_local", "marginals"):
        clock.wrap(layer.structure, method, f"intermediate's structure: {method}")


MATRIX_PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm")
LSTM = ("aten::mkldnn_rnn_layer", "aten::mkldnn_rnn_layer_backward")


def operations(step: Callable[[Any], Any], batches: list[Any]) -> dict[str, float]:
    """The share of the CPU time of steps that each operation of PyTorch takes itself."""
    with profile() as profiler:
        for batch in batches:
            step(batch)
    times = {event.key: event.self_cpu_time_total for event in profiler.key_averages()}
    return {name: value / sum(times.values()) for name, value in times.items()}


def epochs(loader: DataLoader, clock: Clock) -> Iterator[Any]:
    """The batches of one epoch after another."""
    for epoch in map(iter, itertools.repeat(loader)):
        while (batch := clock.measure("data", lambda: next(epoch, None))) is not None:  # noqa: B023
            yield batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="of a pipeline, a model with an `intermediate`")
    parser.add_argument("--methods", nargs="+", default=["spigot", "pipeline"], help="`intermediate` types")
    parser.add_argument("--batches", type=int, default=60, help="batches to time, after five to warm up")
    parser.add_argument("--threads", type=int, default=1, help="threads that torch may use")
    parser.add_argument("--instances", type=int, default=4000, help="training sentences to read")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    params = Params.from_file(arguments.config)
    prepare_environment(params)
    reader = DatasetReader.from_params(params["dataset_reader"], max_instances=arguments.instances)
    loader = DataLoader.from_params(params["data_loader"], reader=reader, data_path=params["train_data_path"])
    vocab = Vocabulary.from_params(params["vocabulary"], instances=loader.iter_instances())
    loader.index_with(vocab)
    settings = params["model"]["intermediate"].duplicate().as_dict()
    model = Model.from_params(params["model"], vocab=vocab)
    model.train()
    optimizer = Optimizer.from_params(params["trainer"]["optimizer"], model_parameters=list(model.named_parameters()))

    clock = Clock()
    layers = {}
    for method in arguments.methods:
        own = settings if method == settings["type"] else {"type": method, "structure": settings["structure"]}
        layers[method] = StructuredArgmax.from_params(Params({**own}).duplicate())
    watch(model, clock)
    watch_intermediate(layers[arguments.methods[0]], clock)

    times: dict[str, list[float]] = {method: [] for method in layers}
    sentences = tokens = steps = 0
    batches = epochs(loader, clock)
    for number, batch in enumerate(itertools.islice(batches, arguments.batches + 5)):
        # The first to meet a batch's shape also pays for its memory: they take turns.
        for method in arguments.methods if number % 2 else reversed(arguments.methods):
            model.intermediate = layers[method]
            clock.on = number >= 5 and method == arguments.methods[0]
            start = time.perf_counter()
            loss = clock.measure("forward, whole", lambda: model(**batch)["loss"])  # noqa: B023
            clock.measure("backward", loss.backward)
            clock.measure("optimizer", optimizer.step)
            optimizer.zero_grad()
            if number >= 5:
                times[method].append(time.perf_counter() - start)
        if number >= 5:
            mask = batch["tokens"]["pos"]["tokens"] != 0
            sentences, tokens, steps = sentences + len(mask), tokens + int(mask.sum()), steps + 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20

    def step(batch: Any) -> None:
        model(**batch)["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()

    clock.on = False
    model.intermediate = layers[arguments.methods[0]]
    shares = operations(step, list(itertools.islice(batches, 10)))

    print(f"{steps} batches, {sentences / steps:.1f} sentences and {tokens / steps:.0f} tokens each on average")
    print(f"{'intermediate':24}{'ms per step':>14}{'sentences/s':>14}{'against the last':>18}")
    last = statistics.median(times[arguments.methods[-1]])
    for method, seconds in times.items():
        median = statistics.median(seconds)
        print(f"{method:24}{1000 * median:14.1f}{sentences / sum(seconds):14.1f}{median / last:17.3f}x")
    whole = sum(times[arguments.methods[0]])
    print(f"\n{'part, ' + arguments.methods[0]:56}{'ms':>10}{'share':>8}")
    for name, seconds in sorted(clock.seconds.items(), key=lambda item: -item[1]):
        print(f"{name:56}{1000 * seconds / steps:10.2f}{seconds / whole:8.1%}")
    print(f"\n{'operations, ten steps':56}{'share':>18}")
    for name, group in {"LSTMs of oneDNN": LSTM, "matrix products": MATRIX_PRODUCTS}.items():
        print(f"{name:56}{sum(shares.pop(key, 0.0) for key in group):18.1%}")
    for name, share in sorted(shares.items(), key=lambda item: -item[1])[:8]:
        print(f"{name:56}{share:18.1%}")
    print(f"\npeak memory of the process: {peak:.2f} GiB")


if __name__ == "__main__":
    main()
