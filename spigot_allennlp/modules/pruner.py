import torch
from allennlp.common import Registrable
from allennlp.common.checks import ConfigurationError
from allennlp.data import TextFieldTensors
from allennlp.models import Model

from spigot_allennlp.checks import fraction, whole
from spigot_allennlp.structures import Structure


class ArcPruner(torch.nn.Module, Registrable):
    """Tells a parser which arcs it need not look at."""

    default_implementation = "parser"
    structure: Structure
    """The arcs that are left admit one of these; the parser that is served must have the same."""

    def forward(self, tokens: TextFieldTensors) -> torch.Tensor:
        """
        # Parameters

        tokens : `TextFieldTensors`
            The parser's text, whose position 0 is ROOT.

        # Returns

        `torch.Tensor`
            The arcs that are left, `(batch, length, length)` bool, `[modifier, head]`.
        """
        raise NotImplementedError


@ArcPruner.register("parser")
class ParserPruner(ArcPruner):
    """
    A small first-order parser that was trained before, with the loss "tree_crf", and is not trained any more: of each
    token it leaves the heads whose posterior probability is no less than `threshold` times that of the token's most
    probable one, the `max_heads` most probable of them, and those of its best tree
    ([Martins et al., 2009](https://aclanthology.org/P09-1039/), section 5, has such a pruner; the program of
    [Peng, Thomson and Smith, 2018](https://aclanthology.org/P18-1173/) has this one).

    # Parameters

    parser : `Model`
        A `spigot_dependency_parser`, with its `pretrained_file`. It has an embedder and an encoder of its own, and is
        saved with the parser that it serves.
    threshold : `float`, optional (default = `1e-4`)
    max_heads : `int`, optional (default = `20`)
    """

    def __init__(self, parser: Model, threshold: float = 1e-4, max_heads: int = 20):
        super().__init__()
        if not hasattr(parser, "structure") or parser.structure.cells != "heads":
            raise ConfigurationError(
                f"expected the parser of a pruner to be a spigot_dependency_parser, found a {type(parser).__name__}"
            )
        parser.structure.require("argmax", "log_partition", by="a pruner")
        self.parser = parser.eval().requires_grad_(False)
        self.structure = parser.structure
        self.threshold = fraction("threshold of a pruner", threshold)
        self.max_heads = whole("max_heads of a pruner", max_heads)

    def train(self, mode: bool = True) -> "ParserPruner":
        """Without dropout, also while the rest is trained."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, tokens: TextFieldTensors) -> torch.Tensor:
        encoded, mask = self.parser.encode(tokens)
        scores = self.parser.score(encoded)
        posterior = self.parser.structure.marginals(scores, mask)
        # Shape (all): (batch, length, length)
        ranked = posterior.topk(min(self.max_heads, posterior.size(2)), dim=2).values
        is_probable = (posterior >= self.threshold * ranked[..., :1]) & (posterior >= ranked[..., -1:])
        return (is_probable & (posterior > 0)) | (self.parser.structure.argmax(scores, mask) > 0)
