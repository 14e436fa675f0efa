from typing import Any, Optional

import torch
from allennlp.common import Lazy
from allennlp.common.checks import ConfigurationError
from allennlp.data import TextFieldTensors, Vocabulary
from allennlp.models import Model
from allennlp.modules import FeedForward, Seq2SeqEncoder, TextFieldEmbedder
from allennlp.nn import InitializerApplicator

from spigot_allennlp.data.dataset_readers.sentence_reader import TOP
from spigot_allennlp.models.extras import rounded
from spigot_allennlp.models.initialization import initialize
from spigot_allennlp.models.parser import Parser
from spigot_allennlp.models.word_pieces import check_word_pieces
from spigot_allennlp.modules import FrameClassifier, GraphHinge, GraphLoss, GraphScores, PairScorer
from spigot_allennlp.structures import SemanticGraph, registered_name
from spigot_allennlp.training.metrics import FrameF1, SemanticDependencyF1

_SHOWN_WHILE_RUNNING = ("labelled_f1", "unlabelled_f1", "frame_f1")


@Model.register("spigot_semantic_parser")
class SemanticParser(Parser):
    """
    A parser of bilexical semantic graphs with scores for predicates, arcs and labelled arcs: the basic model of
    [Peng, Thomson and Smith (2017)](https://aclanthology.org/P17-1186/). It stands alone, or is the second stage of
    `spigot_syntactic_then_semantic`.

    Where it `reads_trees`, a token enters every scorer together with its head, `[x_i; sum_h tree[i, h] x_h]`; a scorer
    whose first layer is linear then sees `W_self x_i + sum_h tree[i, h] W_head x_h`
    ([Peng, Thomson and Smith, 2018](https://aclanthology.org/P18-1173/), section 4).

    Registered as a `Model` with name "spigot_semantic_parser".

    # Parameters

    vocab : `Vocabulary`
    text_field_embedder : `TextFieldEmbedder`
    encoder : `Seq2SeqEncoder`
    arc_scorer, label_scorer : `PairScorer`, optional (default = "mlp")
        Score `[predicate, argument]`; their `input_dim` and `num_labels` are filled in.
    predicate_feedforward : `FeedForward`, optional (default = `None`)
        What stands between a token and its score as a predicate; its `input_dim` is filled in. Without it every token
        may have arguments for free.
    structure : `SemanticGraph`, optional (default = "semantic_graph")
        The graphs that may be predicted.
    loss : `GraphLoss`, optional (default = "hinge")
    frames : `FrameClassifier`, optional (default = `None`)
        Predicts the frames of tokens; the reader then needs `frames: true`. Its `input_dim` is filled in. By default
        there are none.
    use_deterministic_labels : `bool`, optional (default = `True`)
        Whether a label that no predicate of the training data has twice may be predicted at most once per predicate.
    reads_trees : `bool`, optional (default = `False`)
        Whether tokens enter together with their head. Alone, the parser then reads gold trees; in a pipeline, those of
        the first stage.
    dropout : `float`, optional (default = `0.0`)
        On the encoded tokens.
    pretrained_file : `str`, optional (default = `None`)
        An archive to start from: that of such a parser, or of a pipeline that has one.
    initializer : `InitializerApplicator`, optional
    """

    default_predictor = "spigot_semantic_parser"

    def __init__(
        self,
        vocab: Vocabulary,
        text_field_embedder: TextFieldEmbedder,
        encoder: Seq2SeqEncoder,
        arc_scorer: Lazy[PairScorer] = Lazy(PairScorer),
        label_scorer: Lazy[PairScorer] = Lazy(PairScorer),
        predicate_feedforward: Optional[Lazy[FeedForward]] = None,
        structure: Optional[SemanticGraph] = None,
        loss: Optional[GraphLoss] = None,
        frames: Optional[Lazy[FrameClassifier]] = None,
        use_deterministic_labels: bool = True,
        reads_trees: bool = False,
        dropout: float = 0.0,
        pretrained_file: Optional[str] = None,
        initializer: InitializerApplicator = InitializerApplicator(),
        **kwargs,
    ) -> None:
        super().__init__(vocab, text_field_embedder, encoder, dropout, **kwargs)
        labels = vocab.get_index_to_token_vocabulary("graph_labels")
        if not labels:
            raise ConfigurationError("the vocabulary has no graph_labels: were there graphs in the training data?")
        self.reads_trees = reads_trees
        dim = encoder.get_output_dim() * (2 if reads_trees else 1)
        self.arc_scorer = arc_scorer.construct(input_dim=dim)
        self.label_scorer = label_scorer.construct(input_dim=dim, num_labels=len(labels))
        self.label_scorer._vocab_namespace = "graph_labels"
        self.predicate_feedforward = None
        if predicate_feedforward is not None:
            self.predicate_feedforward = predicate_feedforward.construct(input_dim=dim)
            self.predicate_projection = torch.nn.Linear(self.predicate_feedforward.get_output_dim(), 1)
        self.frames = None if frames is None else frames.construct(vocab=vocab, input_dim=dim)
        repeated = vocab.get_token_to_index_vocabulary("repeated_graph_labels")
        self.structure = structure or SemanticGraph()
        self.structure.bind(
            predicates=predicate_feedforward is not None,
            top_label=next((i for i, label in labels.items() if label == TOP), None),
            deterministic_labels=[
                i for i, label in labels.items() if use_deterministic_labels and label not in repeated
            ],
        )
        self.loss = loss or GraphHinge()
        self.structure.require("argmax", *self.loss.needs, by=f"the loss {registered_name(self.loss, GraphLoss)}")
        self.metric = SemanticDependencyF1()
        self.frame_metric = FrameF1()
        initialize(self, initializer)
        self.start_from(pretrained_file)

    def forward(
        self,  # type: ignore
        tokens: TextFieldTensors,
        graph: Optional[torch.Tensor] = None,
        tree: Optional[torch.Tensor] = None,
        metadata: Optional[list[dict[str, Any]]] = None,
        frames: Optional[torch.Tensor] = None,
    ) -> dict[str, torch.Tensor]:
        """
        # Parameters

        tokens : `TextFieldTensors`
        graph : `torch.Tensor`, optional (default = `None`)
            `(batch, length, length)` int64, `[predicate, argument]`: the label of each gold arc, -1 where none is.
        tree : `torch.Tensor`, optional (default = `None`)
            `(batch, length, length)` int64, `[modifier, head]`, at least 0 where there is an arc: needed by a parser
            that reads trees, not used by another.
        metadata : `List[Dict[str, Any]]`, optional (default = `None`)
            A parser of frames needs the `lemmas` of each sentence.
        frames : `torch.Tensor`, optional (default = `None`)
            `(batch, length)` int64: the label of each token's gold frame, -1 where there is none.

        # Returns

        `Dict[str, torch.Tensor]`
            `arcs`, `(batch, length, length)` int64, the predicted graph in the form of `graph`; `mask`; and `loss`,
            summed over the batch, where gold graphs are given. In evaluation, `frames` of a parser that predicts them,
            a list of strings for each sentence, `_` for none; and what [`extras`](./extras.md) ask for:
            `frame_probabilities`, likewise; `arc_probabilities`, like `arcs`, of what is predicted;
            `graph_probability`, `(batch,)`; `graph_alternatives` and `graph_samples`, for each sentence a list of
            dictionaries with `arcs`, `tops`, `score` and `probability`.
        """
        if self.reads_trees and tree is None:
            raise ConfigurationError("a semantic parser that reads_trees needs the field 'tree'")
        check_word_pieces(self, tokens, metadata)
        encoded, mask = self.encode(tokens)
        tree = (tree >= 0).to(encoded) if self.reads_trees else None
        scores = self.score(encoded, tree)
        output = self.parse(scores, mask, self.best_labels(scores, mask), graph)
        return self.add_frames(output, encoded, tree, frames, metadata)

    def score(self, encoded: torch.Tensor, tree: Optional[torch.Tensor] = None) -> GraphScores:
        """
        Of `encoded` tokens and, for a parser that reads them, trees: `(batch, length, length)`, `[modifier, head]`, 0/1
        or relaxed.
        """
        encoded = self._with_heads(encoded, tree)
        predicates = None
        if self.predicate_feedforward is not None:
            predicates = self.predicate_projection(self.predicate_feedforward(encoded)).squeeze(-1)
        labels = self.label_scorer(encoded, encoded)
        if self.structure.top_label is not None:
            allowed = self.structure.allowed_labels(*labels.shape[2:]).to(labels.device)
            labels = labels.masked_fill(~allowed.unsqueeze(1), -torch.inf)
        return GraphScores(self.arc_scorer(encoded, encoded), labels, predicates)

    def _with_heads(self, encoded: torch.Tensor, tree: Optional[torch.Tensor]) -> torch.Tensor:
        return torch.cat([encoded, torch.matmul(tree, encoded)], dim=-1) if self.reads_trees else encoded

    def part_scores(self, scores: GraphScores) -> torch.Tensor:
        """The worth of every part, `(batch, length, length, num_labels)`: what an argmax takes."""
        return self.loss.part_scores(scores)

    def structure_scores(self, tokens: TextFieldTensors) -> torch.Tensor:
        return self.part_scores(self.score(self.encode(tokens)[0]))

    def best_labels(self, scores: GraphScores, mask: torch.Tensor) -> torch.Tensor:
        """The best graphs, in the form of `graph`."""
        with torch.no_grad():
            return self.structure.best_labels(self.part_scores(scores), mask)

    def parse(
        self,
        scores: GraphScores,
        mask: torch.Tensor,
        predicted: torch.Tensor,
        graph: Optional[torch.Tensor] = None,
    ) -> dict[str, torch.Tensor]:
        """What `forward` returns, from scores and the graphs that were chosen by them, in the form of `graph`."""
        output = {"mask": mask, "arcs": predicted}
        if self.tells():
            output.update(self._extras(scores, mask, predicted))
        if graph is not None:
            output["loss"] = self.parse_loss(scores, mask, graph)
            self.metric(output["arcs"], graph, mask)
        return output

    def add_frames(
        self,
        output: dict[str, Any],
        encoded: torch.Tensor,
        tree: Optional[torch.Tensor] = None,
        frames: Optional[torch.Tensor] = None,
        metadata: Optional[list[dict[str, Any]]] = None,
    ) -> dict[str, Any]:
        """
        What `forward` returns, from what `parse` does: with frames, and with their loss where there is one of graphs.
        Of a parser without frames it is the same. `encoded` and `tree` are those of `score`.
        """
        if self.frames is None:
            return output
        if metadata is None:
            raise ConfigurationError("a semantic parser that predicts frames needs the field 'metadata'")
        scores, mask = self.frames(self._with_heads(encoded, tree)), output["mask"]
        if frames is not None and "loss" in output:
            output["loss"] = output["loss"] + self.frames.loss(scores, frames, mask)
        lemmas = [sentence["lemmas"] for sentence in metadata]
        scores = self.frames.restrict(scores.detach(), lemmas)
        chosen = self.frames.choose(scores)
        if frames is not None:
            self.frame_metric(chosen, scores.argmax(dim=2), frames, mask)
        if not self.training:
            output["frames"] = self.frames.read(chosen, lemmas)
        if self.tells(probabilities=True):
            probabilities = self.frames.probabilities(scores, chosen).tolist()
            output["frame_probabilities"] = [
                list(map(rounded, sentence[1 : len(words) + 1]))
                for sentence, words in zip(probabilities, lemmas, strict=True)
            ]
        return output

    def _extras(self, scores: GraphScores, mask: torch.Tensor, predicted: torch.Tensor) -> dict[str, Any]:
        output: dict[str, Any] = {}
        part_scores = self.part_scores(scores).detach()
        if self.extras.probabilities:
            labels = predicted.clamp(min=0).unsqueeze(3)
            graph = torch.zeros_like(part_scores).scatter_(3, labels, (predicted >= 0).to(part_scores).unsqueeze(3))
            if self.structure.predicates:
                # Of the graphs with these arcs, the one whose other predicates are on where that is worth it.
                is_on = (predicted >= 0).any(2) | (part_scores[:, :, 0, 0] > 0)
                graph[:, :, 0, 0] = (is_on & self.structure.parts(part_scores, mask)[:, :, 0, 0]).to(part_scores)
            marginals = self.structure.marginals(part_scores, mask)
            output["arc_probabilities"] = marginals.gather(3, labels).squeeze(3)
            output["graph_probability"] = self.structure.log_prob(graph, part_scores, mask).exp()
        for name, others in self.extras.others(self.structure, part_scores, mask).items():
            for graphs in others.structures:
                pairs = zip(*self._read_graphs(self.structure.labels_of(graphs)), strict=True)
                others.readable.append([{"arcs": arcs, "tops": tops} for arcs, tops in pairs])
            output[f"graph_{name}"] = others.by_sentence()
        return output

    def parse_loss(self, scores: GraphScores, mask: torch.Tensor, graph: torch.Tensor) -> torch.Tensor:
        """The loss of `forward`, summed over the batch."""
        return self.loss(scores, graph, mask, self.structure).sum()

    def frame_loss(
        self, encoded: torch.Tensor, tree: Optional[torch.Tensor], mask: torch.Tensor, frames: Optional[torch.Tensor]
    ) -> torch.Tensor | float:
        """What `add_frames` adds to the loss, summed over the batch; 0 where there is nothing."""
        if self.frames is None or frames is None:
            return 0.0
        return self.frames.loss(self.frames(self._with_heads(encoded, tree)), frames, mask)

    def make_output_human_readable(self, output_dict: dict[str, Any]) -> dict[str, Any]:
        """
        Replaces `arcs` by a list of `[predicate, argument, label]` for each sentence (positions are 1-based) and adds
        `tops`, a list of positions; probabilities, where they are asked for, go with these.
        """
        output_dict.pop("mask")
        arcs, tops = self._read_graphs(output_dict["arcs"])
        if "arc_probabilities" in output_dict:
            cells = [
                [(where, rounded(values[tuple(where)])) for where in torch.nonzero(graph >= 0).tolist()]
                for graph, values in zip(output_dict["arcs"].cpu(), output_dict["arc_probabilities"].cpu(), strict=True)
            ]
            output_dict["arc_probabilities"] = [[p for where, p in found if where[0] > 0] for found in cells]
            output_dict["top_probabilities"] = [[p for where, p in found if where[0] == 0] for found in cells]
            output_dict["graph_probability"] = list(map(rounded, output_dict["graph_probability"]))
        output_dict["arcs"], output_dict["tops"] = arcs, tops
        return output_dict

    def _read_graphs(self, graphs: torch.Tensor) -> tuple[list[list[list[Any]]], list[list[int]]]:
        """The arcs, `[predicate, argument, label]`, and the tops of each sentence."""
        labels = self.vocab.get_index_to_token_vocabulary("graph_labels")
        arcs, tops = [], []
        for sentence in graphs.cpu():
            found = [(p, a, labels[int(sentence[p, a])]) for p, a in torch.nonzero(sentence >= 0).tolist()]
            arcs.append([[predicate, argument, label] for predicate, argument, label in found if predicate > 0])
            tops.append([argument for predicate, argument, _ in found if predicate == 0])
        return arcs, tops

    def get_metrics(self, reset: bool = False) -> dict[str, float]:
        """All figures at the end of a pass (`reset`), the most telling ones while it runs."""
        metrics = {**self.metric.get_metric(reset), **self.frame_metric.get_metric(reset)}
        return metrics if reset else {name: metrics[name] for name in _SHOWN_WHILE_RUNNING if name in metrics}
