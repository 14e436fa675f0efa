"""A structure as a user writes one, of whom nothing is asked but an argmax."""

import torch
from scipy.optimize import linear_sum_assignment

from spigot_allennlp.nn.errors import check_shapes, no_structure, not_a_score
from spigot_allennlp.structures import Structure


class Permutation(Structure):
    """
    One cell in each row and in each column, as when tokens are put into another order. Not registered: configs name it
    by where it stands. `scores` is `(batch, length, length)`; there is no ROOT.
    """

    cells = "places"

    def argmax(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        parts = self.parts(scores, mask)
        z = torch.zeros_like(scores)
        for sentence, tokens in enumerate(mask):
            size = int(tokens.sum())
            values = scores[sentence][parts[sentence]].detach().double().view(size, size)
            if not (values < torch.inf).all():
                raise not_a_score(sentence)
            try:
                rows, columns = linear_sum_assignment(values.cpu().numpy(), maximize=True)
            except ValueError:
                raise no_structure(sentence) from None
            position = tokens.nonzero().squeeze(1)
            z[sentence, position[rows], position[columns]] = 1
        return z

    def parts(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        check_shapes(scores, mask, "batch", "length", "length")
        return mask.unsqueeze(1) & mask.unsqueeze(2)
