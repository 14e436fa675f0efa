import jaxtyping
import pytest
import torch

from spigot_allennlp.nn.arcs import arc_mask
from spigot_allennlp.structures import NonprojectiveTree


@pytest.mark.parametrize("function", [lambda scores, mask: arc_mask(mask), NonprojectiveTree().argmax])
def test_wrong_shapes_are_found_while_tests_run(function):
    scores, mask = torch.zeros(2, 3, 3), torch.ones(2, 3, 3, 3, dtype=torch.bool)
    with pytest.raises(jaxtyping.TypeCheckError):
        function(scores, mask)
