"""
The subcommand `spigot-compare` holds methods against each other: it trains each with several seeds, or takes archives
that exist, and says which can be told apart.
"""

import argparse
import signal
import sys
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from allennlp.commands.subcommand import Subcommand
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from overrides import overrides

from spigot_allennlp.framework.bad_input import explain, explained

if TYPE_CHECKING:
    from spigot_allennlp.comparing.comparison import Methods
    from spigot_allennlp.comparing.report import Report
    from spigot_allennlp.tuning._search_space import SearchSpace


@Subcommand.register("spigot-compare")
class Compare(Subcommand):
    @overrides
    def add_subparser(self, parser: argparse._SubParsersAction) -> argparse.ArgumentParser:
        description = (
            "Train methods with several seeds each, or take archives, and say which can be told apart. Needs the extra "
            "`tune`."
        )
        subparser = parser.add_parser(self.name, description=description, help="Say which methods can be told apart.")
        subparser.add_argument(
            "inputs",
            nargs="+",
            metavar="config | archive",
            help="a config, as for `allennlp train`; or archives, each a.tar.gz or name=a.tar.gz,b.tar.gz, with --data",
        )
        subparser.add_argument("-s", "--serialization-dir", help="folder of the study, or of the report on archives")
        subparser.add_argument("--metric", help="what to compare by: metrics, with commas between them")
        subparser.add_argument("--cuda-device", type=int, default=-1, help="id of the GPU to evaluate on (if any)")
        study = subparser.add_argument_group("from a config")
        study.add_argument(
            "--methods", help="names in common/methods.libsonnet, or name=file, with commas between them"
        )
        study.add_argument("--seeds", type=int, default=5, help="runs of each method")
        study.add_argument("--space", help="search space of all methods, or an object with one for each")
        study.add_argument("--tune-trials", type=int, default=0, help="trials of each method, before its runs")
        study.add_argument("--test", help="data to evaluate on, instead of the development data")
        study.add_argument("--timeout", type=float, help="start no training after so many seconds")
        study.add_argument("-o", "--overrides", default="", help="JSON object that overrides the config")
        archives = subparser.add_argument_group("from archives")
        archives.add_argument("--data", help="data to evaluate on")
        archives.add_argument("--trust", action="store_true", help="let the archives name code of any package")
        subparser.set_defaults(func=_compare_from_args)
        return subparser


def compare_methods(
    config_file: str | PathLike[str],
    methods: str,
    folder: str | PathLike[str],
    num_seeds: int = 5,
    space_file: str | PathLike[str] | None = None,
    num_trials: int = 0,
    test: Optional[str] = None,
    timeout: float | None = None,
    overrides: str = "",
    metrics: Sequence[str] = (),
    cuda_device: int = -1,
) -> str:
    """
    Begins a study or goes on with it, and writes its report.

    # Parameters

    config_file : `str` or `PathLike`
    methods : `str`
        See [`read_methods`](../comparing/methods.md#read_methods).
    folder : `str` or `PathLike`
        Of the study; see [`Study`](../comparing/_study.md#study).
    num_seeds : `int`, optional (default = `5`)
        The seeds are 0, 1, …
    space_file : `str` or `PathLike`, optional (default = `None`)
        A [search space](../tuning/_search_space.md#searchspace), or one for each method.
    num_trials : `int`, optional (default = `0`)
        Of each method.
    test : `str`, optional (default = `None`)
        What the runs are evaluated on, as `allennlp evaluate` takes it; by default the validation data.
    timeout : `float`, optional (default = `None`)
        In seconds, after which no training is started.
    overrides : `str`, optional (default = `""`)
        JSON that overrides the config of each method.
    metrics : `Sequence[str]`, optional (default = `()`)
        What pairs are compared in; by default the config's `trainer.validation_metric`.
    cuda_device : `int`, optional (default = `-1`)
        For evaluation.

    # Returns

    The report as text.

    # Raises

    `ConfigurationError`, before anything is written, if the extra `tune` is not installed, or the config, a method, the
    search space or the folder cannot be used; `FileNotFoundError`, if there is no config or search space.
    """
    _import_extra()
    from spigot_allennlp.comparing._study import Study
    from spigot_allennlp.comparing.evaluation import parse_data
    from spigot_allennlp.comparing.methods import read_methods

    if num_seeds < 1:
        raise ConfigurationError(f"expected a number of seeds of at least 1, found {num_seeds}")
    if (space_file is None) != (num_trials < 1):
        raise ConfigurationError("a search space and a number of trials go together: give both, or neither")
    with explained(OSError):
        configs = read_methods(methods, config_file, overrides)
        spaces = None if space_file is None else _read_spaces(space_file, list(configs))
    data = None if test is None else parse_data(test)
    metric = next(iter(configs.values())).metric.name
    study = Study(Path(folder), configs, spaces, num_trials, data, cuda_device)
    study.run(num_seeds, timeout)
    what = (
        f"the development data, by which epochs {'and settings ' if spaces else ''}were chosen"
        if test is None
        else test
    )
    runs = study.runs(num_seeds)
    if not any(runs.values()):
        return "\n".join(["no run is complete", *study.notes(num_seeds)])
    report = _report(runs, metrics, metric, what, study.settings(), study.notes(num_seeds))
    return _write(report, Path(folder))


def compare_archives(
    archives: Sequence[str],
    data: str,
    folder: str | PathLike[str] | None = None,
    metrics: Sequence[str] = (),
    cuda_device: int = -1,
) -> str:
    """
    Compares models that exist.

    # Parameters

    archives : `Sequence[str]`
        See [`read_archives`](../comparing/runs.md#read_archives).
    data : `str`
        As `allennlp evaluate` takes it.
    folder : `str` or `PathLike`, optional (default = `None`)
        Where the report is written; by default nowhere.
    metrics : `Sequence[str]`, optional (default = `()`)
        What pairs are compared in; by default the `trainer.validation_metric` of the first archive's config.
    cuda_device : `int`, optional (default = `-1`)

    # Returns

    The report as text.

    # Raises

    `ConfigurationError`, if the extra `tune` is not installed, or an archive, the data or the folder cannot be used.
    """
    _import_extra()
    from spigot_allennlp.comparing.evaluation import parse_data
    from spigot_allennlp.comparing.runs import evaluate_archives, read_archives
    from spigot_allennlp.framework.archive_config import read_config

    named = read_archives(archives)
    runs = evaluate_archives(named, parse_data(data), cuda_device)
    config = read_config(next(iter(named.values()))[0])
    chosen_by = config.get("trainer", {}).get("validation_metric", "-loss")
    report = _report(runs, metrics, str(chosen_by).lstrip("+-"), data)
    return _write(report, None if folder is None else Path(folder))


def _compare_from_args(args: argparse.Namespace) -> None:
    # AllenNLP's handler raises an `Exception`, which is lost where it comes while something is logged.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    metrics = args.metric.split(",") if args.metric else []
    try:
        if args.methods is not None and args.data is None:
            if len(args.inputs) > 1 or args.serialization_dir is None:
                raise ConfigurationError("with --methods, expected one config and --serialization-dir")
            print(
                compare_methods(
                    args.inputs[0],
                    args.methods,
                    args.serialization_dir,
                    args.seeds,
                    args.space,
                    args.tune_trials,
                    args.test,
                    args.timeout,
                    args.overrides,
                    metrics,
                    args.cuda_device,
                )
            )
        elif args.methods is None and args.data is not None:
            print(compare_archives(args.inputs, args.data, args.serialization_dir, metrics, args.cuda_device))
        else:
            raise ConfigurationError("expected --methods, for a config, or --data, for archives")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def _import_extra() -> None:
    try:
        import matplotlib  # noqa: F401
        import optuna  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"{error}: install the extra `tune` of this package") from error


def _read_spaces(path: str | PathLike[str], names: Sequence[str]) -> dict[str, "SearchSpace"]:
    from spigot_allennlp.tuning._search_space import SearchSpace

    try:
        content = Params.from_file(path).as_dict(quiet=True)
    except RuntimeError as error:  # of Jsonnet
        raise ConfigurationError(f"{path}: {explain(error) or error}") from None
    is_one = all(isinstance(value, Mapping) and isinstance(value.get("type"), str) for value in content.values())
    if is_one:
        return dict.fromkeys(names, SearchSpace(content))
    for name in names:
        if name not in content:
            raise ConfigurationError(f"{path}: expected a search space for {name}, found those of {', '.join(content)}")
    return {name: SearchSpace(content[name]) for name in names}


def _report(
    runs: "Methods",
    metrics: Sequence[str],
    chosen_by: str,
    data: str,
    settings: Mapping[str, dict] | None = None,
    notes: Sequence[str] = (),
) -> "Report":
    from spigot_allennlp.comparing.comparison import shares
    from spigot_allennlp.comparing.report import make_report

    known = shares(runs)
    for metric in metrics:
        if metric not in known:
            raise ConfigurationError(f"expected a metric that is one of {', '.join(known)}, found {metric}")
    if not metrics:
        metrics = [metric for metric in known if metric == chosen_by] or known[:1]
    return make_report(runs, metrics, data, settings, notes)


def _write(report: "Report", folder: Path | None) -> str:
    from spigot_allennlp.comparing.report import to_text, write_report

    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_report(report, folder)
        except OSError as error:
            raise ConfigurationError(f"expected a folder that can be written, found {folder}: {error}") from error
    return to_text(report)
