"""What pipelines share: how they build their stages, and how they tell what stood between them and what came out."""

import copy
from typing import Any, Optional

import torch
from allennlp.common import Lazy
from allennlp.common.checks import ConfigurationError
from allennlp.data import Vocabulary
from allennlp.models import Model

from spigot_allennlp.structures import Structure, registered_name


def declared(stage: Lazy[Model]) -> set[str]:
    """The parameters that the config of a stage gives."""
    return {*stage._params.keys(), *stage._constructor_extras}


def construct_stage(
    name: str, kind: type[Model], stage: Lazy[Model], structure: Optional[Structure] = None, **defaults: Any
) -> Model:
    """
    A stage of a pipeline.

    # Parameters

    name : `str`
        The stage's key in the config.
    kind : `type[Model]`
        Which model it has to be.
    stage : `Lazy[Model]`
    structure : `Structure`, optional (default = `None`)
        The one of `intermediate`, for the stage that predicts it.
    defaults : `Any`
        What the stage gets where its config does not say otherwise.

    # Raises

    `ConfigurationError` where it is another model, or declares another structure.
    """
    if (kind_name := stage._params.get("type")) in Model.list_available():
        found, _ = Model.resolve_class_name(kind_name)
        if not issubclass(found, kind) and not issubclass(kind, found):
            raise ConfigurationError(f"{name} must be a {kind.default_predictor}")
    if structure is not None:
        params = copy.deepcopy(stage._params)
        own = params.pop("structure", None)
        own = structure if own is None else Structure.from_params(own)
        check_structure(name, own, structure, of="intermediate")
        stage = Lazy(stage._constructor, params, {**stage._constructor_extras, "structure": structure})
    known = declared(stage)
    model = stage.construct(**{key: value for key, value in defaults.items() if key not in known})
    if not isinstance(model, kind):
        raise ConfigurationError(f"{name} must be a {kind.default_predictor}")
    return model


def check_structure(name: str, own: Structure, structure: Structure, of: str) -> None:
    """Raises a `ConfigurationError` if the structure that `name` has is not the `structure` of another part."""
    if (type(own), vars(own)) != (type(structure), vars(structure)):
        expected, found = describe(structure), describe(own)
        raise ConfigurationError(f"expected {name} to have the structure of {of}, {expected}, found {found}")


def describe(structure: Structure) -> str:
    """What a config says of a structure, in one line."""
    settings = {"type": registered_name(structure, Structure), **vars(structure)}
    return str({name: value for name, value in settings.items() if value is not None})


def count_classes(vocab: Vocabulary) -> int:
    """The classes of a classifier. Raises a `ConfigurationError` where there are none."""
    num_classes = vocab.get_vocab_size("labels")
    if not num_classes:
        raise ConfigurationError("the vocabulary has no labels: were there labels in the training data?")
    return num_classes


def name_classes(output: dict[str, Any], vocab: Vocabulary) -> None:
    """Adds `label`, a string for each sentence, and makes a dictionary of all labels of each row of `probabilities`."""
    labels = vocab.get_index_to_token_vocabulary("labels")
    rows = output["probabilities"].tolist()
    output["label"] = [labels[max(range(len(row)), key=row.__getitem__)] for row in rows]
    output["probabilities"] = [{labels[i]: p for i, p in enumerate(row)} for row in rows]


def read_weights(z: torch.Tensor, at_least: float = 0.01) -> list[list[list[float]]]:
    """
    What the second stage read: of structures or mixtures, `(batch, ...)`, for each sentence a list of the cells whose
    weight is `at_least` so much, `[position, ..., weight]`, in the order of their positions.
    """
    weights = z.detach().float().cpu()
    return [
        [[*cell, round(float(sentence[tuple(cell)]), 4)] for cell in (sentence >= at_least).nonzero().tolist()]
        for sentence in weights
    ]
