from typing import Any, Optional

import torch
from allennlp.common import Lazy
from allennlp.common.checks import ConfigurationError
from allennlp.data import TextFieldTensors, Vocabulary
from allennlp.models import Model
from allennlp.nn import InitializerApplicator

from spigot_allennlp.checks import not_negative
from spigot_allennlp.models.anchor import Anchor
from spigot_allennlp.models.dependency_parser import DependencyParser
from spigot_allennlp.models.initialization import initialize
from spigot_allennlp.models.semantic_parser import SemanticParser
from spigot_allennlp.models.stage import construct_stage, declared, read_weights
from spigot_allennlp.models.word_pieces import check_word_pieces
from spigot_allennlp.surrogates import StructuredArgmax


@Model.register("spigot_syntactic_then_semantic")
class SyntacticThenSemantic(Model):
    """
    Semantic dependency parsing through an intermediate syntactic tree, trained end to end: the first stage predicts a
    tree, the second reads it, and the loss of the second reaches the first through `intermediate`
    ([Peng, Thomson and Smith, 2018](https://aclanthology.org/P18-1173/), section 4).

    What a batch brings decides what is learnt from it: trees train the first stage, graphs train the second and,
    through the intermediate tree, the first. So the same sentences with both annotations, two corpora that take turns
    (the framework's multi-task data loader with a homogeneous scheduler), and graphs alone, where trees are wholly
    latent, are the same model with other data.

    Losses are summed over a batch, not averaged: the gradient that reaches a sentence's tree, which
    `max_gradient_norm` bounds, then does not depend on the batch size.

    Registered as a `Model` with name "spigot_syntactic_then_semantic".

    # Parameters

    vocab : `Vocabulary`
    syntactic_parser : `Model`
        A `spigot_dependency_parser`. Its `structure` is that of `intermediate`, and need not be given.
    semantic_parser : `Model`
        A `spigot_semantic_parser`. Where its `text_field_embedder` or `encoder` is not given, it shares that of the
        syntactic parser; two stages that both have a `pretrained_file` cannot share.
    intermediate : `StructuredArgmax`
        What stands between the two.
    syntactic_loss_weight : `float`, optional (default = `1.0`)
    pretrained_kl_weight : `float`, optional (default = `0.0`)
        How strongly training holds the first stage to what it was pretrained to: the weight of the divergence
        `KL(pretrained || current)` between distributions over trees, where a batch has graphs. It needs the
        `pretrained_file` of `syntactic_parser`, and a structure with sums.
    initializer : `InitializerApplicator`, optional
    """

    default_predictor = "spigot_syntactic_then_semantic"

    def __init__(
        self,
        vocab: Vocabulary,
        syntactic_parser: Lazy[Model],
        semantic_parser: Lazy[Model],
        intermediate: StructuredArgmax,
        syntactic_loss_weight: float = 1.0,
        pretrained_kl_weight: float = 0.0,
        initializer: InitializerApplicator = InitializerApplicator(),
        **kwargs,
    ) -> None:
        super().__init__(vocab, **kwargs)
        shared = {"text_field_embedder", "encoder"} - declared(semantic_parser)
        if shared and "pretrained_file" in declared(syntactic_parser) & declared(semantic_parser):
            raise ConfigurationError(
                f"both stages have a pretrained_file: semantic_parser needs a {' and an '.join(sorted(shared)[::-1])} "
                "of its own"
            )
        self.intermediate = intermediate
        self.syntactic_parser = construct_stage(
            "syntactic_parser", DependencyParser, syntactic_parser, structure=intermediate.structure, vocab=vocab
        )
        self.semantic_parser = construct_stage(
            "semantic_parser",
            SemanticParser,
            semantic_parser,
            vocab=vocab,
            text_field_embedder=self.syntactic_parser.text_field_embedder,
            encoder=self.syntactic_parser.encoder,
            reads_trees=True,
        )
        self.anchor = None
        if pretrained_kl_weight:
            self.anchor = Anchor(self.syntactic_parser, "syntactic_parser", pretrained_kl_weight)
        self.syntactic_loss_weight = not_negative("syntactic_loss_weight", syntactic_loss_weight)
        self._shares_encoder = (
            self.semantic_parser.encoder is self.syntactic_parser.encoder
            and self.semantic_parser.text_field_embedder is self.syntactic_parser.text_field_embedder
        )
        initialize(self, initializer)

    def forward(
        self,  # type: ignore
        tokens: TextFieldTensors,
        tree: Optional[torch.Tensor] = None,
        graph: Optional[torch.Tensor] = None,
        metadata: Optional[list[dict[str, Any]]] = None,
        task: Optional[list[str]] = None,
        forbidden_arcs: Optional[torch.Tensor] = None,
        frames: Optional[torch.Tensor] = None,
    ) -> dict[str, torch.Tensor]:
        """
        # Parameters

        tokens : `TextFieldTensors`
        tree : `torch.Tensor`, optional (default = `None`)
            `(batch, length, length)` int64, `[modifier, head]`: the label of each gold arc, -1 where there is none.
        graph : `torch.Tensor`, optional (default = `None`)
            `(batch, length, length)` int64, `[predicate, argument]`, likewise.
        metadata : `List[Dict[str, Any]]`, optional (default = `None`)
        task : `List[str]`, optional (default = `None`)
            Not used; the framework's multi-task reader gives it.
        forbidden_arcs : `torch.Tensor`, optional (default = `None`)
            `(batch, length, length)` bool, `[modifier, head]`: arcs that the intermediate tree must not have.
        frames : `torch.Tensor`, optional (default = `None`)
            `(batch, length)` int64, as the semantic parser takes them.

        # Returns

        `Dict[str, torch.Tensor]`
            `heads` and perhaps `head_tags` of the intermediate tree, `arcs` of the graph and perhaps `frames`, as the
            two parsers give them; in evaluation `arc_weights`, what of the tree the second stage read,
            `(batch, length, length)`; `mask`; and `loss`, where anything gold is given. A batch of trees alone has no
            `arcs` in training.

            The tree is the one that `intermediate` chose: what the second stage read or, of a mixture, the best one.
        """
        check_word_pieces(self, tokens, metadata)
        encoded, mask = self.syntactic_parser.encode(tokens)
        scores = self.syntactic_parser.score(encoded)
        scores = self.syntactic_parser.prune(scores, tokens, mask, tree, forbidden_arcs)
        scores = self.syntactic_parser.forbid(scores, mask, forbidden_arcs, metadata)
        only_trees = self.training and graph is None

        def graph_loss(tree: torch.Tensor) -> torch.Tensor:
            # Called in the backward pass, when `encoded` is what the second stage reads.
            graph_scores = self.semantic_parser.score(encoded, tree)
            loss = self.semantic_parser.parse_loss(graph_scores, mask, graph)
            return loss + self.semantic_parser.frame_loss(encoded, tree, mask, frames)

        if only_trees:
            z = self.intermediate.structure.argmax(scores, mask)
        else:
            z = self.intermediate(scores, mask, graph_loss)
        chosen = z if only_trees else self.intermediate.chosen(scores, mask, z)
        output = self.syntactic_parser.parse(encoded, mask, scores, chosen, tree, metadata)
        if "loss" in output:
            output["loss"] = self.syntactic_loss_weight * output["loss"]
        if only_trees:
            return output
        if not self.training:
            output["arc_weights"] = z.detach()
        if not self._shares_encoder:
            encoded, _ = self.semantic_parser.encode(tokens)
        graph_scores = self.semantic_parser.score(encoded, z)
        graphs = self.semantic_parser.best_labels(graph_scores, mask)
        semantic_output = self.semantic_parser.parse(graph_scores, mask, graphs, graph)
        semantic_output = self.semantic_parser.add_frames(semantic_output, encoded, z, frames, metadata)
        if self.training and self.anchor is not None:
            semantic_output["loss"] = semantic_output["loss"] + self.anchor.loss(tokens, scores, mask)
        if "loss" in output and "loss" in semantic_output:
            semantic_output["loss"] = output["loss"] + semantic_output["loss"]
        output = {**output, **semantic_output}
        if "loss" in output:
            self.intermediate.see_gradient_of(output["loss"])
        return output

    def make_output_human_readable(self, output_dict: dict[str, Any]) -> dict[str, Any]:
        """
        See those of the two parsers. Of `arc_weights` it makes a list of `[modifier, head, weight]` for each sentence.
        """
        mask = output_dict["mask"]
        if "arc_weights" in output_dict:
            output_dict["arc_weights"] = read_weights(output_dict["arc_weights"])
        output_dict = self.syntactic_parser.make_output_human_readable(output_dict)
        return self.semantic_parser.make_output_human_readable({**output_dict, "mask": mask})

    def get_metrics(self, reset: bool = False) -> dict[str, float]:
        return {**self.syntactic_parser.get_metrics(reset), **self.semantic_parser.get_metrics(reset)}
