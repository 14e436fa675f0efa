"""
Training steps of several checkouts of this package, in turns: whatever else the machine does hits all of them alike.

    git worktree add --detach ../before <commit>
    python -m benchmarks.in_turns training_configs/syntactic_then_semantic/ewt_spigot.jsonnet ../before .

Each checkout has a process of its own, in its folder, which trains its own version of the config's model on its own
batches of training data. These are the same if the versions read data and make batches alike: how many tokens each has
is compared. Paths of data are to be absolute. One table, of the time and the CPU time of a step; ratios are those of
the first checkout's time to a checkout's, so more than 1 is faster than the first.
"""

import argparse
import importlib.util
import itertools
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path


def work(config: str, threads: int, num_batches: int, instances: int) -> None:
    """
    Prints how many tokens each batch has; then reads numbers of batches from standard input, and answers each with the
    seconds of a step, and of CPU.
    """
    import torch
    from allennlp.common import Params
    from allennlp.common.util import prepare_environment
    from allennlp.data import DataLoader, DatasetReader, Vocabulary
    from allennlp.models import Model
    from allennlp.nn.util import get_text_field_mask
    from allennlp.training.optimizers import Optimizer

    # Older versions register everything when they are imported.
    has_plugin = importlib.util.find_spec("spigot_allennlp.plugin") is not None
    importlib.import_module("spigot_allennlp.plugin" if has_plugin else "spigot_allennlp")
    torch.set_num_threads(threads)
    params = Params.from_file(config)
    prepare_environment(params)
    reader = DatasetReader.from_params(params["dataset_reader"], max_instances=instances)
    loader = DataLoader.from_params(params["data_loader"], reader=reader, data_path=params["train_data_path"])
    vocab = Vocabulary.from_params(params["vocabulary"], instances=loader.iter_instances())
    loader.index_with(vocab)
    batches = list(itertools.islice(loader, num_batches))
    if len(batches) < num_batches:
        raise SystemExit(f"expected {num_batches} batches in {instances} sentences, found {len(batches)}")
    model = Model.from_params(params["model"], vocab=vocab).train()
    optimizer = Optimizer.from_params(params["trainer"]["optimizer"], model_parameters=list(model.named_parameters()))
    print("tokens", *(int(get_text_field_mask(batch["tokens"]).sum()) for batch in batches), flush=True)
    for number in sys.stdin:
        start, cpu = time.perf_counter(), time.process_time()
        model(**batches[int(number)])["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
        print(time.perf_counter() - start, time.process_time() - cpu, flush=True)


def start(checkout: str, arguments: list[str]) -> tuple[subprocess.Popen, str]:
    """The process of a checkout, and how many tokens its batches have."""
    command = [sys.executable, str(Path(__file__).resolve()), *arguments, "--worker"]
    environment = {**os.environ, "PYTHONPATH": str(Path(checkout).resolve())}
    pipe = subprocess.PIPE
    worker = subprocess.Popen(command, cwd=checkout, env=environment, stdin=pipe, stdout=pipe, text=True)
    while not (line := worker.stdout.readline()).startswith("tokens"):
        if not line:
            raise SystemExit(f"{checkout}: the training could not be set up")
    return worker, line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="a path in every checkout")
    parser.add_argument("checkouts", nargs="*", default=["."], help="folders, the first to compare the others with")
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=16, help="how often to step each batch, after one to warm up")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--instances", type=int, default=2000, help="training sentences to read")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return work(arguments.config, arguments.threads, arguments.batches, arguments.instances)

    options = ["threads", "batches", "instances"]
    given = [arguments.config, *(f"--{name}={getattr(arguments, name)}" for name in options)]
    started = {checkout: start(checkout, given) for checkout in arguments.checkouts}
    if len({tokens for _, tokens in started.values()}) > 1:
        print("the batches differ:", *(f"{checkout}: {tokens}" for checkout, (_, tokens) in started.items()), sep="\n")
    workers = {checkout: worker for checkout, (worker, _) in started.items()}
    seconds: dict[str, list[list[float]]] = {checkout: [] for checkout in workers}
    for _, number in itertools.product(range(arguments.rounds + 1), range(arguments.batches)):
        for checkout in random.sample(list(workers), len(workers)):
            workers[checkout].stdin.write(f"{number}\n")
            workers[checkout].stdin.flush()
            if not (answer := workers[checkout].stdout.readline()):
                raise SystemExit(f"{checkout}: the training ended early")
            seconds[checkout].append(list(map(float, answer.split())))
    for worker in workers.values():
        worker.stdin.close()

    print(f"{arguments.rounds} rounds of {arguments.batches} batches, {arguments.threads} threads")
    columns = ["mean, ms", "fastest", "ratio: median", "of means", "of fastest"]
    print(f"{'checkout':32}{'':10}" + "".join(f"{column:>15}" for column in columns))
    for checkout, (which, name) in itertools.product(workers, enumerate(["time", "CPU time"])):
        first, own = (
            [step[which] for step in seconds[one][arguments.batches :]] for one in (arguments.checkouts[0], checkout)
        )
        mean, fastest = statistics.mean(own), mean_of_fastest(own, arguments.batches)
        ratios = [
            statistics.median(one / other for one, other in zip(first, own, strict=True)),
            statistics.mean(first) / mean,
            mean_of_fastest(first, arguments.batches) / fastest,
        ]
        print(f"{checkout[-31:]:32}{name:10}{1000 * mean:15.1f}{1000 * fastest:15.1f}", end="")
        print("".join(f"{ratio:15.3f}" for ratio in ratios))


def mean_of_fastest(times: list[float], num_batches: int) -> float:
    """Of each batch the fastest step, on average."""
    return statistics.mean(min(times[batch::num_batches]) for batch in range(num_batches))


if __name__ == "__main__":
    main()
