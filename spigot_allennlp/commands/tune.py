"""The subcommand `spigot-tune` searches for the best settings of a config: each trial is a training with others."""

import argparse
import signal
import sys
from os import PathLike
from pathlib import Path

from allennlp.commands.subcommand import Subcommand
from allennlp.common.checks import ConfigurationError
from overrides import overrides

from spigot_allennlp.framework.bad_input import explained


@Subcommand.register("spigot-tune")
class Tune(Subcommand):
    @overrides
    def add_subparser(self, parser: argparse._SubParsersAction) -> argparse.ArgumentParser:
        description = "Search for the best settings of a config. Needs the extra `tune`."
        subparser = parser.add_parser(
            self.name, description=description, help="Search for the best settings of a config."
        )
        subparser.add_argument("param_path", help="the config, as for `allennlp train`")
        subparser.add_argument("search_space", help="a JSON or Jsonnet file: which settings, and from what ranges")
        subparser.add_argument(
            "-s", "--serialization-dir", required=True, help="folder of the sweep: new, or that of one to go on with"
        )
        subparser.add_argument("--study", default="spigot-tune", help="name of the study in its database")
        subparser.add_argument(
            "-n", "--num-trials", type=int, default=20, help="trials in all, those of earlier and other processes too"
        )
        subparser.add_argument("--timeout", type=float, help="start no trial after so many seconds")
        subparser.add_argument(
            "--metric", help="what to compare by, instead of the config's `trainer.validation_metric`"
        )
        subparser.add_argument("-o", "--overrides", default="", help="JSON object that overrides the config")
        subparser.add_argument("--sampler", default="tpe", help="what chooses the settings: tpe, gp or random")
        subparser.add_argument("--seed", type=int, default=0, help="of the sampler")
        subparser.add_argument("--pruner", default="median", help="what ends a bad trial early: median or none")
        subparser.add_argument(
            "--keep-best-only", action="store_true", help="delete weights and archives of all trials but the best"
        )
        subparser.set_defaults(func=_tune_from_args)
        return subparser


def tune(
    config_file: str | PathLike[str],
    search_space_file: str | PathLike[str],
    folder: str | PathLike[str],
    study_name: str = "spigot-tune",
    num_trials: int = 20,
    timeout: float | None = None,
    metric: str | None = None,
    overrides: str = "",
    sampler: str = "tpe",
    seed: int = 0,
    pruner: str = "median",
    keep_best_only: bool = False,
) -> str:
    """
    Begins a sweep or goes on with it, and writes what came out, also when it is interrupted.

    # Parameters

    config_file : `str` or `PathLike`
    search_space_file : `str` or `PathLike`
        See [`SearchSpace`](../tuning/_search_space.md#searchspace).
    folder : `str` or `PathLike`
        The state of the sweep, its reports, and a serialization directory for each trial.
    study_name : `str`, optional (default = `"spigot-tune"`)
    num_trials : `int`, optional (default = `20`)
        In all, of this and other processes, now and before.
    timeout : `float`, optional (default = `None`)
        In seconds, after which no trial is started.
    metric : `str`, optional (default = `None`)
        By default the config's `trainer.validation_metric`, and written like it.
    overrides : `str`, optional (default = `""`)
        JSON that overrides the config.
    sampler : `str`, optional (default = `"tpe"`)
    seed : `int`, optional (default = `0`)
    pruner : `str`, optional (default = `"median"`)
    keep_best_only : `bool`, optional (default = `False`)
        Whether weights and archives of all trials but the best are deleted. For this and the three before see
        [`Sweep`](../tuning/_sweep.md#sweep).

    # Returns

    The table of the trials.

    # Raises

    `ConfigurationError`, before anything is written, if the extra `tune` is not installed, or the config, the search
    space or the folder cannot be used; `FileNotFoundError`, if there is no config or search space.
    """
    try:
        from spigot_allennlp.tuning._search_space import SearchSpace
        from spigot_allennlp.tuning._sweep import Sweep
        from spigot_allennlp.tuning.config import TunedConfig
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"{error}: install the extra `tune` of this package") from error
    with explained(OSError):
        config = TunedConfig(config_file, overrides, metric)
        space = SearchSpace.from_file(search_space_file)
    sweep = Sweep(Path(folder), study_name, config, space, sampler, seed, pruner, keep_best_only)
    try:
        sweep.run(num_trials, timeout)
    finally:
        table = sweep.write_report()
    return table


def _tune_from_args(args: argparse.Namespace) -> None:
    # AllenNLP's handler raises an `Exception`, which is lost where it comes while something is logged.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        table = tune(
            args.param_path,
            args.search_space,
            args.serialization_dir,
            args.study,
            args.num_trials,
            args.timeout,
            args.metric,
            args.overrides,
            args.sampler,
            args.seed,
            args.pruner,
            args.keep_best_only,
        )
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    print(table)
