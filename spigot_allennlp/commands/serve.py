import argparse
import json
import math
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from functools import partial
from typing import Any, Optional

import torch
from allennlp.commands.subcommand import Subcommand
from allennlp.common.checks import ConfigurationError, check_for_gpu
from allennlp.common.plugins import import_plugins
from allennlp.common.util import import_module_and_submodules
from allennlp.predictors import Predictor
from overrides import overrides

from spigot_allennlp.checks import positive
from spigot_allennlp.framework.archive_safety import Trust
from spigot_allennlp.framework.bad_input import explained
from spigot_allennlp.framework.bad_input.archive import load_archive
from spigot_allennlp.framework.bad_input.settings import fault_of_setting
from spigot_allennlp.predictors.sentence import SentencePredictor
from spigot_allennlp.server.limits import Limits


@Subcommand.register("spigot-serve")
class Serve(Subcommand):
    """
    `allennlp spigot-serve`: puts a model behind an address, with a page to try it. See
    [`create_app`](../server/_app.md).
    """

    @overrides
    def add_subparser(self, parser: argparse._SubParsersAction) -> argparse.ArgumentParser:
        description = "Serve a model over HTTP, with a page to try it. Needs the extra `serve`."
        subparser = parser.add_parser(self.name, description=description, help="Serve a model over HTTP.")
        subparser.add_argument(
            "--archive-path",
            required=True,
            action="append",
            help="path to a trained model, a model.tar.gz; given twice, the page compares two",
        )
        subparser.add_argument("--predictor", help="name of the predictor, if not that of the model")
        subparser.add_argument(
            "--predictor-args", type=json.loads, default={}, help="JSON object of arguments to the predictor"
        )
        subparser.add_argument("-o", "--overrides", default="", help="JSON object that overrides the model's config")
        subparser.add_argument("--cuda-device", type=int, default=-1, help="id of a GPU, -1 for the CPU")
        subparser.add_argument("--host", default="127.0.0.1", help="address to listen on, 0.0.0.0 for all")
        subparser.add_argument("--port", type=int, default=8000, help="port to listen on")
        subparser.add_argument("--num-workers", type=int, default=2, help="processes that predict at once")
        subparser.add_argument("--num-threads", type=int, default=1, help="threads that PyTorch may use for each")
        subparser.add_argument("--trust", action="store_true", help="let the archive name code of any package")
        for limit in fields(Limits):
            option = "--" + limit.name.replace("_", "-")
            subparser.add_argument(option, type=limit.type, default=limit.default, help=limit.metadata["help"])
        subparser.set_defaults(func=_serve)
        return subparser


def serve(
    archive_path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    predictor_name: Optional[str] = None,
    predictor_args: Optional[dict[str, Any]] = None,
    overrides: str = "",
    cuda_device: int = -1,
    host: str = "127.0.0.1",
    port: int = 8000,
    num_workers: int = 2,
    num_threads: int = 1,
    include_package: Sequence[str] = (),
    trust: bool = False,
    limits: Limits = Limits(),
) -> None:
    """
    Serves a model until SIGTERM or SIGINT, and then until what was accepted is answered. As it starts processes, a
    script that calls it has to do so under `if __name__ == "__main__":`.

    # Parameters

    archive_path : `str | os.PathLike[str]`, or a list of such
        Of several, all but the first are below `archives/2/`, `archives/3/`, …
    predictor_name : `str`, optional (default = `None`)
        By default that of the model.
    predictor_args : `dict[str, Any]`, optional (default = `None`)
        Further arguments to the predictor.
    overrides : `str`, optional (default = `""`)
        JSON that overrides the archive's configuration.
    cuda_device : `int`, optional (default = `-1`)
    host : `str`, optional (default = `"127.0.0.1"`)
    port : `int`, optional (default = `8000`)
    num_workers : `int`, optional (default = `2`)
        Batches that are predicted at once, of each archive, each in a process with a copy of the model.
    num_threads : `int`, optional (default = `1`)
        Of PyTorch, for each of them. More than one can be far slower where anything else runs on the machine.
    include_package : `Sequence[str]`, optional
        Packages that register what the model needs.
    trust : `bool`, optional (default = `False`)
        Whether the archive may name code of any other package, too.
    limits : `Limits`, optional

    # Raises

    `ConfigurationError`, if the extra `serve` is not installed, the address is taken, the archive cannot be loaded, or
    the predictor is not one of ours.
    """
    try:
        import uvicorn

        from spigot_allennlp.server._access_log import write_access_log
        from spigot_allennlp.server._app import create_app
        from spigot_allennlp.server._connections import BACKLOG, connections
        from spigot_allennlp.server._several import join_apps, name_others
        from spigot_allennlp.server.description import describe_archive
        from spigot_allennlp.server.model_process import ModelProcess
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"{error}: install the extra `serve` of this package") from error
    positive("num_workers", num_workers)
    positive("num_threads", num_threads)
    archive_paths = [archive_path] if isinstance(archive_path, (str, os.PathLike)) else list(archive_path)
    load = partial(
        _load,
        predictor_name=predictor_name,
        predictor_args=predictor_args,
        overrides=overrides,
        cuda_device=cuda_device,
        num_threads=num_threads,
        include_package=include_package,
        trust=trust,
    )
    listener = _listen(host, port)
    failures: list[BaseException] = []

    def stop(error: BaseException) -> None:
        failures.append(error)
        server.should_exit = True

    descriptions = name_others([describe_archive(path, overrides) for path in archive_paths])
    apps = [
        create_app(partial(ModelProcess, partial(load, archive_path=path), limits), limits, num_workers, stop, one)
        for path, one in zip(archive_paths, descriptions, strict=True)
    ]
    config = uvicorn.Config(
        join_apps(apps),
        http=connections(limits),
        ws="none",
        backlog=BACKLOG,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(limits.timeout) + 1,
    )
    server = uvicorn.Server(config)
    write_access_log()
    # A thread that draws for the page gives way to whoever answers /health after one millisecond, not five.
    sys.setswitchinterval(0.001)
    # AllenNLP's handler raises wherever the program happens to be. uvicorn sets its own while it runs, and
    # afterwards sends the signal again to whatever was set before, when there is nothing left to stop.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    if failures:
        raise failures[0]


def _listen(host: str, port: int) -> socket.socket:
    """Before anything is loaded: the address may be taken."""
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        # asyncio does it for sockets that it makes itself; else the end of an answer waits until its head has arrived.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        return listener
    except (OSError, OverflowError) as error:
        raise ConfigurationError(f"expected an address that is free, found {host}, port {port}: {error}") from error


def _load(
    archive_path: str | os.PathLike[str],
    predictor_name: Optional[str],
    predictor_args: Optional[dict[str, Any]],
    overrides: str,
    cuda_device: int,
    num_threads: int,
    include_package: Sequence[str],
    trust: bool,
) -> SentencePredictor:
    import_plugins()
    for package in include_package:
        import_module_and_submodules(package)
    check_for_gpu(cuda_device)
    torch.set_num_threads(num_threads)
    trusted = Trust.by_user(include_package, trust)
    archive = load_archive(archive_path, cuda_device=cuda_device, overrides=overrides, trust=trusted)
    with explained(TypeError, ValueError, by=partial(fault_of_setting, settings=predictor_args)):
        predictor = Predictor.from_archive(archive, predictor_name, extra_args=predictor_args)
    if not isinstance(predictor, SentencePredictor):
        raise ConfigurationError(f"expected a predictor of spigot_allennlp, found {type(predictor).__name__}")
    return predictor


def _serve(args: argparse.Namespace) -> None:
    serve(
        args.archive_path,
        args.predictor,
        args.predictor_args,
        args.overrides,
        args.cuda_device,
        args.host,
        args.port,
        args.num_workers,
        args.num_threads,
        args.include_package,
        args.trust,
        Limits(**{limit.name: getattr(args, limit.name) for limit in fields(Limits)}),
    )
