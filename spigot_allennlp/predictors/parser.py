import json

from allennlp.common.checks import ConfigurationError
from allennlp.common.util import JsonDict
from allennlp.data import DatasetReader, Instance
from allennlp.data.dataset_readers import MultiTaskDatasetReader
from allennlp.models import Model
from allennlp.predictors import Predictor
from overrides import overrides

from spigot_allennlp.data.sdp import HEADER, SdpSentence, format_sdp

_FORMATS = ("json", "sdp")


@Predictor.register("spigot_syntactic_then_semantic")
@Predictor.register("spigot_semantic_parser")
@Predictor.register("spigot_dependency_parser")
class ParserPredictor(Predictor):
    """
    Parses tagged sentences. The input is an object a line, `{"tokens": [...], "tags": [...], "lemmas": [...]}`, or,
    with `--use-dataset-reader`, a file in the format of the training data.

    The output has these keys, and those of the model: `heads` (1-based, 0 is ROOT) and perhaps `head_tags` of the
    syntactic tree; `arcs`, a list of `[predicate, argument, label]`, and `tops` of the semantic graph.

    Registered as a `Predictor` with the names of the three parsers, "spigot_dependency_parser",
    "spigot_semantic_parser" and "spigot_syntactic_then_semantic".

    # Parameters

    model : `Model`
    dataset_reader : `DatasetReader`
        Of a multi-task reader, the first one that it has is used.
    frozen : `bool`, optional (default = `True`)
    output_format : `str`, optional (default = `"json"`)
        "json", an object a line, or "sdp": SDP 2015, with columns for the syntactic tree where the model predicts one
        with labels.
    """

    def __init__(
        self, model: Model, dataset_reader: DatasetReader, frozen: bool = True, output_format: str = "json"
    ) -> None:
        if isinstance(dataset_reader, MultiTaskDatasetReader):
            dataset_reader = next(iter(dataset_reader.readers.values()))
        super().__init__(model, dataset_reader, frozen)
        if output_format not in _FORMATS:
            raise ConfigurationError(f"output_format must be one of {', '.join(_FORMATS)}, got '{output_format}'")
        self._output_format = output_format
        self._wrote_header = False

    @overrides
    def _json_to_instance(self, json_dict: JsonDict) -> Instance:
        """Expects `{"tokens": [...], "tags": [...], "lemmas": [...]}`, three lists of strings of the same length."""
        columns = []
        for key in ("tokens", "tags", "lemmas"):
            column = json_dict.get(key)
            if not isinstance(column, list) or not all(isinstance(value, str) for value in column):
                raise ValueError(f"'{key}' must be a list of strings, in {json.dumps(json_dict)}")
            columns.append(column)
        if len({len(column) for column in columns}) > 1 or not columns[0]:
            raise ValueError(f"tokens, tags and lemmas must be of one length, at least 1, in {json.dumps(json_dict)}")
        return self._dataset_reader.text_to_instance(*columns)

    @overrides
    def predict_instance(self, instance: Instance) -> JsonDict:
        return self.predict_batch_instance([instance])[0]

    @overrides
    def predict_batch_instance(self, instances: list[Instance]) -> list[JsonDict]:
        outputs = super().predict_batch_instance(instances)
        for instance, output in zip(instances, outputs, strict=True):
            output.pop("loss", None)  # the batch's, not the sentence's
            output.update(instance["metadata"].metadata)
        return outputs

    @overrides
    def dump_line(self, outputs: JsonDict) -> str:
        if self._output_format == "json":
            return json.dumps(outputs) + "\n"
        header = "" if self._wrote_header else HEADER + "\n"
        self._wrote_header = True
        has_tree = "head_tags" in outputs
        return header + format_sdp(
            SdpSentence(
                outputs["tokens"],
                outputs["lemmas"],
                outputs["tags"],
                arcs=[tuple(arc) for arc in outputs.get("arcs", [])],
                tops=outputs.get("tops", []),
                heads=outputs["heads"] if has_tree else None,
                deprels=outputs["head_tags"] if has_tree else None,
                sentence_id=outputs.get("sentence_id"),
            )
        )
