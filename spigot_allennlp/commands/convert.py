"""
The subcommand `spigot-convert` makes a file in one format of sentences with trees and graphs into one in another: SDP,
CoNLL-U, MRP or the JSON of predictions.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from allennlp.commands.subcommand import Subcommand
from allennlp.common.checks import ConfigurationError
from overrides import overrides

from spigot_allennlp.data.blocks import read_file
from spigot_allennlp.data.conversion import FORMATS, READERS, Conversion
from spigot_allennlp.data.exchange import TAG_COLUMNS
from spigot_allennlp.framework.bad_input import explained
from spigot_allennlp.framework.whole_file import STANDARD, open_whole

_SUFFIXES = {".conll": "conllu", ".jsonl": "json", **{f".{name}": name for name in FORMATS}}


@Subcommand.register("spigot-convert")
class Convert(Subcommand):
    @overrides
    def add_subparser(self, parser: argparse._SubParsersAction) -> argparse.ArgumentParser:
        description = "Convert sentences with trees and graphs between SDP, CoNLL-U, MRP and the JSON of predictions."
        subparser = parser.add_parser(self.name, description=description, help=description)
        subparser.add_argument("input", help="the file to read, - for the standard input")
        subparser.add_argument("output", help="the file to write, - for the standard output")
        subparser.add_argument("--from", dest="input_format", choices=READERS, help="by default, as the file is named")
        subparser.add_argument("--to", dest="output_format", choices=FORMATS, help="by default, as the file is named")
        subparser.add_argument(
            "--tag-column", choices=TAG_COLUMNS, default=TAG_COLUMNS[0], help="the column of CoNLL-U with the tags"
        )
        subparser.add_argument("--no-comments", action="store_true", help="leave comments out, but ids stay")
        subparser.add_argument("--framework", default="dm", help="what MRP calls the graphs, such as dm, pas or psd")
        subparser.set_defaults(func=_convert_from_args)
        return subparser


def _convert_from_args(args: argparse.Namespace) -> None:
    conversion = Conversion(
        args.input_format or _find_format(args.input, "--from"),
        args.output_format or _find_format(args.output, "--to"),
        args.tag_column,
        not args.no_comments,
        args.framework,
    )
    with explained(OSError), _open_input(args.input) as lines, open_whole(args.output) as output:
        for text in conversion.convert(lines, args.input):
            output.write(text.encode())
    print(conversion.summary(), file=sys.stderr)


@contextmanager
def _open_input(name: str) -> Iterator[Iterable[bytes]]:
    """The lines of a file, or of the standard input."""
    if name == STANDARD:
        yield sys.stdin.buffer
    else:
        with closing(read_file(name)) as lines:
            yield lines


def _find_format(name: str, option: str) -> str:
    suffix = Path(name).suffix
    if suffix not in _SUFFIXES:
        raise ConfigurationError(f"expected a file named {', '.join(_SUFFIXES)}, or {option}, found {name}")
    return _SUFFIXES[suffix]
