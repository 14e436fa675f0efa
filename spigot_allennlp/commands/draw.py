"""
The subcommand `spigot-draw` draws what a model predicts: a sentence as an SVG picture, or a page with those sentences
of a file whose prediction differs from gold.
"""

import argparse
import gzip
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from os import PathLike
from pathlib import Path

from allennlp.commands.subcommand import Subcommand
from allennlp.common.checks import ConfigurationError
from allennlp.common.util import JsonDict, lazy_groups_of
from allennlp.predictors import Predictor
from overrides import overrides

from spigot_allennlp.data.blocks import read_file
from spigot_allennlp.data.companion import add_trees
from spigot_allennlp.data.conll import parse_conll
from spigot_allennlp.data.conversion import recognize
from spigot_allennlp.data.exchange import from_conll, from_sdp
from spigot_allennlp.data.sdp import parse_sdp
from spigot_allennlp.data.tagger import TaggedSentence
from spigot_allennlp.drawing import Side, draw, tree_side
from spigot_allennlp.drawing.error_page import Sentence, write_error_page
from spigot_allennlp.drawing.errors import Tally, find_errors
from spigot_allennlp.framework.bad_input import explained
from spigot_allennlp.framework.bad_input.archive import load_archive
from spigot_allennlp.framework.whole_file import STANDARD, open_whole
from spigot_allennlp.predictors.lines import Failure
from spigot_allennlp.predictors.sentence import SentencePredictor

_BATCH_SIZE = 32
_MAX_WIDTH = 1200


@Subcommand.register("spigot-draw")
class Draw(Subcommand):
    @overrides
    def add_subparser(self, parser: argparse._SubParsersAction) -> argparse.ArgumentParser:
        description = "Draw the tree and the graph that a model predicts."
        subparser = parser.add_parser(self.name, description=description, help=description)
        subparser.add_argument("--archive-path", required=True, help="the archived model")
        source = subparser.add_mutually_exclusive_group(required=True)
        source.add_argument("--sentence", help="raw text to draw, as an SVG picture")
        source.add_argument(
            "--input-file",
            help="SDP or CoNLL-U, perhaps with gzip, - for the standard input: sentences to draw where the prediction "
            "differs from them, on an HTML page; gold trees are those of the file, or of a .conllu beside it",
        )
        subparser.add_argument(
            "--output",
            required=True,
            help="what to write: .svg for a sentence, .html for a file, - for the standard output",
        )
        subparser.add_argument("--limit", type=int, default=100, help="draw at most so many sentences of a file")
        subparser.add_argument("--spacy-model", help="the spaCy pipeline for raw text")
        subparser.add_argument("--cuda-device", type=int, default=-1, help="id of the GPU to use (if any)")
        subparser.add_argument("--trust", action="store_true", help="let the archive name code of any package")
        subparser.set_defaults(func=_draw_from_args)
        return subparser


def _draw_from_args(args: argparse.Namespace) -> None:
    _check_output(args.output, ".svg" if args.input_file is None else ".html")
    predictor = _load_predictor(args.archive_path, args.cuda_device, args.spacy_model)
    if args.input_file is None:
        drawn = draw_sentence(predictor, args.sentence)
    else:
        drawn = draw_differences(predictor, args.input_file, args.limit)
    with explained(OSError), open_whole(args.output) as output:
        output.write(drawn.encode("utf-8", "replace"))
    print(f"wrote {args.output}", file=sys.stderr if args.output == STANDARD else sys.stdout)


def draw_sentence(predictor: SentencePredictor, sentence: str) -> str:
    """
    An SVG document of the tree above and the graph below, as far as the model predicts them, of a sentence of raw text.
    """
    try:
        output = predictor.predict_json({"sentence": sentence})
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    return _draw(_check_drawable(output))


def draw_differences(predictor: SentencePredictor, input_file: str | PathLike[str], limit: int) -> str:
    """
    An HTML page of the sentences whose prediction differs from gold, and of those on which the model fails, with the
    figures and the errors of the whole file.

    # Parameters

    predictor : `SentencePredictor`
    input_file : `str` or `PathLike`
        Gold graphs in SDP 2015, or gold trees in CoNLL-U; `-` is the standard input. Trees of SDP are compared where
        the file has them, or a `.conllu` beside it.
    limit : `int`
        Of the sentences with differences, so many of the first are drawn.
    """
    shown: list[Sentence] = []
    failures: list[Failure] = []
    counts: Counter[str] = Counter()
    tally = Tally()
    num_sentences = num_different = 0
    for gold, output in _predict(predictor, str(input_file)):
        num_sentences += 1
        name = gold.get("sentence_id") or f"sentence {num_sentences}"
        if isinstance(output, Failure):
            failures.append(output)
            sentence = Sentence(name, failure=output["error"])
        else:
            tally.add(output, gold)
            errors = find_errors(output, gold)
            if not errors:
                continue
            num_different += 1
            counts.update(error.kind for error in errors)
            sentence = Sentence(name, [_draw(output, gold)] if len(shown) < limit else [], errors)
        if len(shown) < limit:
            shown.append(sentence)
    if failures and len(failures) == num_sentences:  # it is not the sentences
        raise failures[0].cause
    title = f"{Path(input_file).name}: {num_different} of {num_sentences} sentences differ"
    if failures:
        title += f", the model fails on {len(failures)}"
    if len(shown) < num_different + len(failures):
        title += f"; the first {len(shown)} of these"
    return write_error_page(title, shown, counts, tally.figures())


def _check_output(name: str, suffix: str) -> None:
    output = Path(name)
    if name != STANDARD and (output.suffix.lower() != suffix or not output.parent.is_dir() or output.is_dir()):
        raise ConfigurationError(f"--output must be a {suffix} file in an existing folder, or -, found {name}")


def _load_predictor(archive_path: str, cuda_device: int, spacy_model: str | None) -> SentencePredictor:
    archive = load_archive(archive_path, cuda_device=cuda_device)
    name = archive.model.default_predictor
    if name is None or not issubclass(Predictor.by_name(name), SentencePredictor):
        raise ConfigurationError(f"expected a model of spigot_allennlp, found {type(archive.model).__name__}")
    return Predictor.from_archive(archive, name, extra_args={"spacy_model": spacy_model})


def _predict(predictor: SentencePredictor, name: str) -> Iterator[tuple[JsonDict, JsonDict]]:
    reader = predictor.sentence_reader
    tag_column, graphs_in_deps = getattr(reader, "tag_column", "xpos"), getattr(reader, "graphs_in_deps", False)
    for batch in lazy_groups_of(_read(name, tag_column, graphs_in_deps), _BATCH_SIZE):
        sentences = [TaggedSentence(gold["tokens"], gold["tags"], gold["lemmas"]) for gold in batch]
        yield from zip(batch, map(_check_drawable, predictor.try_sentences(sentences)), strict=True)


def _read(name: str, tag_column: str, graphs_in_deps: bool) -> Iterator[JsonDict]:
    """The sentences of a file and, of SDP without trees, those of a companion beside it."""
    with explained(OSError, EOFError, zlib.error):
        lines = iter(_lines(name))
        first = list(islice(lines, 100))
        lines = chain(first, lines)
        if recognize(b"".join(first)) == "conllu":
            for sentence in parse_conll(lines, name):
                gold = from_conll(sentence, tag_column)
                if not graphs_in_deps and "deps" not in gold:  # which are enhanced dependencies then
                    gold.pop("arcs", None)
                yield gold
            return
        graphs = parse_sdp(lines, name)
        companion = _companion(name)
        if companion is not None:
            graphs = add_trees(graphs, parse_conll(_lines(companion), companion), name, companion)
        yield from map(from_sdp, graphs)


def _companion(name: str) -> str | None:
    """The file of the trees beside that of the graphs, if there is one."""
    path = Path(name.removesuffix(".gz"))
    beside = (path.with_suffix(".conllu"), path.with_suffix(".conllu.gz"))
    return None if name == STANDARD else next((str(other) for other in beside if other.exists()), None)


def _lines(name: str) -> Iterator[bytes]:
    """The lines of a file, which may be compressed, or of the standard input."""
    if name == STANDARD:
        yield from sys.stdin.buffer
    elif name.endswith(".gz"):
        with gzip.open(name) as file:
            yield from file
    else:
        yield from read_file(name)


def _check_drawable(output: JsonDict) -> JsonDict:
    if output.keys().isdisjoint({"heads", "arcs"}) and not isinstance(output, Failure):
        raise ConfigurationError("the model predicts neither a tree nor a graph to draw")
    return output


def _draw(output: JsonDict, gold: JsonDict | None = None) -> str:
    sides = []
    gold = gold or {}
    if "heads" in output:
        tree = output["heads"], output.get("head_tags"), gold.get("heads"), gold.get("head_tags")
        sides.append(tree_side(*tree))
    if "arcs" in output:
        sides.append(Side(output["arcs"], output["tops"], "top", gold.get("arcs"), gold.get("tops")))
    return draw(output["tokens"], *sides, max_width=_MAX_WIDTH)
