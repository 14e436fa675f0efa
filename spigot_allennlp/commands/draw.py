"""
The subcommand `spigot-draw` draws what a model predicts: a sentence as an SVG picture, or a page with those sentences
of a file whose prediction differs from gold.
"""

import argparse
from collections.abc import Iterator
from html import escape
from os import PathLike
from pathlib import Path

from allennlp.commands.subcommand import Subcommand
from allennlp.common.checks import ConfigurationError
from allennlp.common.util import JsonDict, lazy_groups_of
from allennlp.predictors import Predictor
from overrides import overrides

from spigot_allennlp.data.companion import add_trees
from spigot_allennlp.data.conll import read_conll
from spigot_allennlp.data.sdp import SdpSentence, read_sdp
from spigot_allennlp.data.tagger import TaggedSentence
from spigot_allennlp.drawing import draw_graph, draw_tree, stack
from spigot_allennlp.framework.bad_input import explained
from spigot_allennlp.framework.bad_input.archive import load_archive
from spigot_allennlp.predictors.lines import Failure
from spigot_allennlp.predictors.sentence import SentencePredictor

_BATCH_SIZE = 32
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; font-family: sans-serif }}
figure {{ margin: 0 0 4rem; overflow-x: auto }}
figcaption {{ position: sticky; left: 0 }}
</style>
</head>
<body>
<h1>{title}</h1>
{figures}
</body>
</html>
"""


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
            help="SDP sentences to draw where the prediction differs from them, on an HTML page; gold trees are those "
            "of the file, or of a .conllu beside it",
        )
        subparser.add_argument("--output", required=True, help="what to write: .svg for a sentence, .html for a file")
        subparser.add_argument("--limit", type=int, default=100, help="draw at most so many sentences of a file")
        subparser.add_argument("--spacy-model", help="the spaCy pipeline for raw text")
        subparser.add_argument("--cuda-device", type=int, default=-1, help="id of the GPU to use (if any)")
        subparser.add_argument("--trust", action="store_true", help="let the archive name code of any package")
        subparser.set_defaults(func=_draw_from_args)
        return subparser


def _draw_from_args(args: argparse.Namespace) -> None:
    output = _check_output(args.output, ".svg" if args.input_file is None else ".html")
    predictor = _load_predictor(args.archive_path, args.cuda_device, args.spacy_model)
    if args.input_file is None:
        drawn = draw_sentence(predictor, args.sentence)
    else:
        drawn = draw_differences(predictor, args.input_file, args.limit)
    try:
        output.write_text(drawn, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(str(error)) from None
    print(f"wrote {output}")


def draw_sentence(predictor: SentencePredictor, sentence: str) -> str:
    """An SVG document of the tree and the graph, as far as the model predicts them, of a sentence of raw text."""
    try:
        output = predictor.predict_json({"sentence": sentence})
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    return stack(_draw(_check_drawable(output)))


def draw_differences(predictor: SentencePredictor, input_file: str | PathLike[str], limit: int) -> str:
    """
    An HTML page of the sentences whose prediction differs from gold, and of those on which the model fails.

    # Parameters

    predictor : `SentencePredictor`
    input_file : `str` or `PathLike`
        Gold graphs in SDP 2015. Trees are compared where the file has them, or a `.conllu` beside it.
    limit : `int`
        After so many sentences with differences the rest of the file is not looked at.
    """
    figures: list[str] = []
    failures: list[Failure] = []
    num_sentences = 0
    for gold, output in _predict(predictor, Path(input_file)):
        if len(figures) == limit:
            break
        num_sentences += 1
        caption, pictures = gold.sentence_id or f"sentence {num_sentences}", []
        if isinstance(output, Failure):
            failures.append(output)
            caption += f": {output['error']}"
        elif _differs(output, gold):
            pictures = _draw(output, gold)
        else:
            continue
        body = "\n".join([f"<figcaption>{escape(caption)}</figcaption>", *pictures])
        figures.append(f"<figure>\n{body}\n</figure>")
    if failures and len(failures) == num_sentences:  # it is not the sentences
        raise failures[0].cause
    title = f"{escape(Path(input_file).name)}: {len(figures) - len(failures)} of {num_sentences} sentences differ"
    if failures:
        title += f", the model fails on {len(failures)}"
    return _PAGE.format(title=title, figures="\n".join(figures))


def _check_output(name: str, suffix: str) -> Path:
    output = Path(name)
    if output.suffix != suffix or not output.parent.is_dir() or output.is_dir():
        raise ConfigurationError(f"--output must be a {suffix} file in an existing folder, found {name}")
    return output


def _load_predictor(archive_path: str, cuda_device: int, spacy_model: str | None) -> SentencePredictor:
    archive = load_archive(archive_path, cuda_device=cuda_device)
    name = archive.model.default_predictor
    if name is None or not issubclass(Predictor.by_name(name), SentencePredictor):
        raise ConfigurationError(f"expected a model of spigot_allennlp, found {type(archive.model).__name__}")
    return Predictor.from_archive(archive, name, extra_args={"spacy_model": spacy_model})


def _predict(predictor: SentencePredictor, path: Path) -> Iterator[tuple[SdpSentence, JsonDict]]:
    for batch in lazy_groups_of(_read(path), _BATCH_SIZE):
        sentences = [TaggedSentence(gold.forms, gold.tags, gold.lemmas) for gold in batch]
        yield from zip(batch, map(_check_drawable, predictor.try_sentences(sentences)), strict=True)


def _read(path: Path) -> Iterator[SdpSentence]:
    with explained(OSError):
        sentences = read_sdp(path)
        companion = path.with_suffix(".conllu")
        if companion.exists():
            sentences = add_trees(sentences, read_conll(companion), str(path), str(companion))
        yield from sentences


def _check_drawable(output: JsonDict) -> JsonDict:
    if output.keys().isdisjoint({"heads", "arcs"}) and not isinstance(output, Failure):
        raise ConfigurationError("the model predicts neither a tree nor a graph to draw")
    return output


def _differs(output: JsonDict, gold: SdpSentence) -> bool:
    differs = False
    if "heads" in output and gold.heads is not None:
        differs = output["heads"] != gold.heads
    if "arcs" in output:
        arcs = set(map(tuple, output["arcs"]))
        differs = differs or arcs != set(gold.arcs) or set(output["tops"]) != set(gold.tops)
    return differs


def _draw(output: JsonDict, gold: SdpSentence | None = None) -> list[str]:
    pictures = []
    if "heads" in output:
        gold_heads = None if gold is None else gold.heads
        pictures.append(draw_tree(output["tokens"], output["heads"], output.get("head_tags"), gold_heads))
    if "arcs" in output:
        gold_graph = () if gold is None else (gold.arcs, gold.tops)
        pictures.append(draw_graph(output["tokens"], output["arcs"], output["tops"], *gold_graph))
    return pictures
