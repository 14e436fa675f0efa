from typing import Any, Optional

import torch
from allennlp.common import Lazy
from allennlp.common.checks import ConfigurationError
from allennlp.data import TextFieldTensors, Vocabulary
from allennlp.models import Model
from allennlp.modules import FeedForward, Seq2SeqEncoder, Seq2VecEncoder, TextFieldEmbedder
from allennlp.modules.seq2vec_encoders import BagOfEmbeddingsEncoder
from allennlp.nn import InitializerApplicator
from allennlp.nn.util import get_text_field_mask
from torch.nn.functional import cross_entropy

from spigot_allennlp.checks import not_negative
from spigot_allennlp.models.anchor import Anchor
from spigot_allennlp.models.initialization import initialize
from spigot_allennlp.models.parser import check_widths
from spigot_allennlp.models.semantic_parser import SemanticParser
from spigot_allennlp.models.stage import construct_stage, count_classes, name_classes, read_weights
from spigot_allennlp.models.word_pieces import check_word_pieces
from spigot_allennlp.modules import GraphFeatures
from spigot_allennlp.structures import SemanticGraph
from spigot_allennlp.surrogates import StructuredArgmax
from spigot_allennlp.surrogates.structured_argmax import LossAt
from spigot_allennlp.training.metrics import Accuracy


@Model.register("spigot_semantic_then_sentiment")
class SemanticThenSentiment(Model):
    """
    Sentence classification through an intermediate semantic graph, trained end to end: the first stage, usually
    pretrained, predicts a graph; the second sees every token together with its heads and roles in it; and the loss of
    the second reaches the first through `intermediate`
    ([Peng, Thomson and Smith, 2018](https://aclanthology.org/P18-1173/), section 5).

    What a batch brings decides what is learnt from it: labels train the classifier and, through the graph, the parser;
    graphs train the parser. So the parser's own data can be replayed beside the labels (the framework's multi-task data
    loader, with the scheduler "spigot_interleaved"). Without a parser, the classifier is what it is without structure.

    Losses are summed over a batch, not averaged: the gradient that reaches a sentence's graph, which
    `max_gradient_norm` bounds, then does not depend on the batch size.

    Registered as a `Model` with name "spigot_semantic_then_sentiment".

    # Parameters

    vocab : `Vocabulary`
    text_field_embedder : `TextFieldEmbedder`
        The classifier's.
    encoder : `Seq2SeqEncoder`
        Encodes tokens for the classifier.
    semantic_parser : `Model`, optional (default = `None`)
        A `spigot_semantic_parser`; its `pretrained_file` is where it starts from.
    intermediate : `StructuredArgmax`, optional (default = `None`)
        What stands between the two, over a `semantic_graph`; goes with `semantic_parser`.
    features : `GraphFeatures`, optional
        Joins tokens with their heads and roles; its `input_dim` and `num_labels` are filled in.
    seq2vec_encoder : `Seq2VecEncoder`, optional (default = "bag_of_embeddings", which sums)
        Makes one vector of a sentence's tokens, ROOT left out. A sum may be too large for a tanh in `feedforward`; the
        configs of this package take the mean.
    feedforward : `FeedForward`, optional (default = `None`)
        What stands between that vector and the scores of the classes; its `input_dim` is filled in.
    dropout : `float`, optional (default = `0.0`)
        On the embedded and on the encoded tokens.
    update_parser : `bool`, optional (default = `True`)
        Whether the parser is trained. One that is not stays as it is, without dropout.
    parser_loss_weight : `float`, optional (default = `1.0`)
        Of the loss on graphs.
    pretrained_kl_weight : `float`, optional (default = `0.0`)
        How strongly training holds the parser to what it was pretrained to: the weight of the divergence
        `KL(pretrained || current)` between distributions over graphs, where a batch has labels. It needs the
        `pretrained_file` of `semantic_parser`.
    pruning_threshold : `float`, optional (default = `0.0`)
        Labelled arcs whose marginal probability under the parser is below it are no parts of the intermediate graph.
        Of a hundred thousand labelled pairs in a long sentence nearly all are absurd, and SPIGOT, which can only raise
        a part that is off, would raise half of them at every step.
    initializer : `InitializerApplicator`, optional
    """

    default_predictor = "spigot_semantic_then_sentiment"

    def __init__(
        self,
        vocab: Vocabulary,
        text_field_embedder: TextFieldEmbedder,
        encoder: Seq2SeqEncoder,
        semantic_parser: Optional[Lazy[Model]] = None,
        intermediate: Optional[StructuredArgmax] = None,
        features: Lazy[GraphFeatures] = Lazy(GraphFeatures),
        seq2vec_encoder: Optional[Seq2VecEncoder] = None,
        feedforward: Optional[Lazy[FeedForward]] = None,
        dropout: float = 0.0,
        update_parser: bool = True,
        parser_loss_weight: float = 1.0,
        pretrained_kl_weight: float = 0.0,
        pruning_threshold: float = 0.0,
        initializer: InitializerApplicator = InitializerApplicator(),
        **kwargs,
    ) -> None:
        super().__init__(vocab, **kwargs)
        if (semantic_parser is None) != (intermediate is None):
            raise ConfigurationError("semantic_parser and intermediate go together: give both, or neither")
        if intermediate is not None and not isinstance(intermediate.structure, SemanticGraph):
            raise ConfigurationError("the structure of intermediate must be a semantic_graph")
        if semantic_parser is not None:
            semantic_parser = construct_stage(
                "semantic_parser", SemanticParser, semantic_parser, structure=intermediate.structure, vocab=vocab
            )
            if semantic_parser.reads_trees:
                raise ConfigurationError("semantic_parser must not read trees: there are none here")
        check_widths(text_field_embedder, encoder)
        num_classes = count_classes(vocab)
        self.semantic_parser = semantic_parser
        self.intermediate = intermediate
        self.update_parser = update_parser
        self.parser_loss_weight = not_negative("parser_loss_weight", parser_loss_weight)
        self.pruning_threshold = not_negative("pruning_threshold", pruning_threshold)
        self.anchor = None
        if not_negative("pretrained_kl_weight", pretrained_kl_weight):
            if semantic_parser is None or not update_parser:
                raise ConfigurationError("expected pretrained_kl_weight beside a parser that is trained, found none")
            self.anchor = Anchor(semantic_parser, "semantic_parser", pretrained_kl_weight)
        if semantic_parser is not None and not update_parser:
            semantic_parser.requires_grad_(False)

        self.text_field_embedder = text_field_embedder
        self.encoder = encoder
        num_roles = None if semantic_parser is None else vocab.get_vocab_size("graph_labels")
        self.features = features.construct(input_dim=encoder.get_output_dim(), num_labels=num_roles)
        self.seq2vec_encoder = seq2vec_encoder or BagOfEmbeddingsEncoder(self.features.get_output_dim())
        dim = self.seq2vec_encoder.get_output_dim()
        self.feedforward = None
        if feedforward is not None:
            self.feedforward = feedforward.construct(input_dim=dim)
            dim = self.feedforward.get_output_dim()
        self.projection = torch.nn.Linear(dim, num_classes)
        self.dropout = torch.nn.Dropout(dropout)
        self.accuracy = Accuracy()
        initialize(self, initializer)

    def train(self, mode: bool = True) -> "SemanticThenSentiment":
        super().train(mode)
        if self.semantic_parser is not None and not self.update_parser:
            self.semantic_parser.eval()
        return self

    def forward(
        self,  # type: ignore
        tokens: TextFieldTensors,
        label: Optional[torch.Tensor] = None,
        graph: Optional[torch.Tensor] = None,
        metadata: Optional[list[dict[str, Any]]] = None,
        task: Optional[list[str]] = None,
        frames: Optional[torch.Tensor] = None,
        tree: Optional[torch.Tensor] = None,
        latent_class: Optional[torch.Tensor] = None,
    ) -> dict[str, torch.Tensor]:
        """
        # Parameters

        tokens : `TextFieldTensors`
        label : `torch.Tensor`, optional (default = `None`)
            `(batch,)` int64.
        graph : `torch.Tensor`, optional (default = `None`)
            `(batch, length, length)` int64, `[predicate, argument]`: the label of each gold arc, -1 where none is.
        metadata : `List[Dict[str, Any]]`, optional (default = `None`)
        task : `List[str]`, optional (default = `None`)
            Not used; the framework's multi-task reader gives it.
        frames : `torch.Tensor`, optional (default = `None`)
            `(batch, length)` int64, as the parser takes them.
        tree, latent_class : `torch.Tensor`, optional (default = `None`)
            Not used; data for the [latent tree classifier](./latent_tree_classifier.md) may have them.

        # Returns

        `Dict[str, torch.Tensor]`
            `logits` and `probabilities`, `(batch, classes)`, but for a batch that has graphs and no labels; with a
            parser `mask` and `arcs`, `(batch, length, length)` int64, the graph that `intermediate` chose, in the form
            of `graph`, but for a batch of labels alone in training; in evaluation `arc_weights`, what of the graph the
            classifier read, `(batch, length, length, labels)`; and `loss`, where anything gold is given.
        """
        check_word_pieces(self, tokens, metadata)
        mask = get_text_field_mask(tokens)
        output: dict[str, torch.Tensor] = {}
        z = None

        def label_loss(graph: torch.Tensor) -> torch.Tensor:
            # Called in the backward pass, when `encoded` is what the classifier reads.
            return cross_entropy(self._classify(encoded, graph, mask), label, reduction="sum")

        if self.semantic_parser is not None:
            read_by_parser, _ = self.semantic_parser.encode(tokens)
            scores = self.semantic_parser.score(read_by_parser)
            teaches_parser_alone = graph is not None and label is None
            if self.training and teaches_parser_alone:
                if not self.update_parser:
                    raise ConfigurationError("graphs without labels have nothing to teach where update_parser is false")
                chosen = self.semantic_parser.best_labels(scores, mask)
            else:
                part_scores = self.semantic_parser.part_scores(scores)
                z, chosen = self._read(part_scores, mask, label_loss)
            if graph is not None or not self.training:
                output = self.semantic_parser.parse(scores, mask, chosen, graph)
                output = self.semantic_parser.add_frames(output, read_by_parser, None, frames, metadata)
            if "loss" in output:
                output["loss"] = self.parser_loss_weight * output["loss"]
            if z is not None and not self.training:
                output["arc_weights"] = z
            if teaches_parser_alone:
                return output

        encoded = self.dropout(self.encoder(self.dropout(self.text_field_embedder(tokens)), mask))
        output["logits"] = self._classify(encoded, z, mask)
        output["probabilities"] = output["logits"].softmax(dim=1)
        if label is not None:
            output["loss"] = output.get("loss", 0) + cross_entropy(output["logits"], label, reduction="sum")
            if self.training and self.anchor is not None:
                output["loss"] = output["loss"] + self.anchor.loss(tokens, part_scores, mask)
            if self.intermediate is not None:
                self.intermediate.see_gradient_of(output["loss"])
            self.accuracy(output["logits"], label)
        return output

    def _classify(self, encoded: torch.Tensor, graph: Optional[torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
        """The scores of the classes, `(batch, classes)`."""
        features = self.features(encoded, graph)
        sentence = self.seq2vec_encoder(features[:, 1:], mask[:, 1:])
        if self.feedforward is not None:
            sentence = self.feedforward(sentence)
        return self.projection(sentence)

    def _read(
        self, part_scores: torch.Tensor, mask: torch.Tensor, loss_at: LossAt
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        What the classifier reads, `(batch, length, length, labels)`, and the graph that was chosen: the same or, of a
        mixture, the best one, `(batch, length, length)` int64, the label of each arc, -1 where none is.
        """
        structure = self.intermediate.structure
        if self.pruning_threshold:
            with torch.no_grad():
                improbable = structure.marginals(part_scores, mask) < self.pruning_threshold
            part_scores = part_scores.masked_fill(improbable, -torch.inf)
        z = self.intermediate(part_scores, mask, loss_at)
        chosen = structure.labels_of(self.intermediate.chosen(part_scores, mask, z))
        return z, chosen

    def make_output_human_readable(self, output_dict: dict[str, Any]) -> dict[str, Any]:
        """
        Adds `label`, a string for each sentence, and replaces `probabilities` by a dictionary of those of all labels;
        for `arcs` and `tops` see the parser's. Of `arc_weights` it makes a list of `[predicate, argument, label,
        weight]` for each sentence.
        """
        if "arc_weights" in output_dict:
            names = self.vocab.get_index_to_token_vocabulary("graph_labels")
            output_dict["arc_weights"] = [
                [
                    [predicate, argument, names[label], weight]
                    for predicate, argument, label, weight in cells
                    if argument
                ]
                for cells in read_weights(output_dict["arc_weights"])
            ]
        if "arcs" in output_dict:
            output_dict = self.semantic_parser.make_output_human_readable(output_dict)
        if "probabilities" in output_dict:
            name_classes(output_dict, self.vocab)
        return output_dict

    def get_metrics(self, reset: bool = False) -> dict[str, float]:
        """`accuracy`, where there were labels, and the parser's figures, where there were graphs."""
        metrics = self.accuracy.get_metric(reset)
        if self.semantic_parser is not None:
            metrics.update(self.semantic_parser.get_metrics(reset))
        return metrics
