import numpy as np
import torch
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.nn.linear_rules import LinearRules
from spigot_allennlp.nn.shapes import AnyMask, Cells
from spigot_allennlp.structures.rules import Rule
from spigot_allennlp.structures.structure import Structure, registered_name


@Structure.register("constrained")
class Constrained(Structure):
    """
    Those of another structure's structures that obey some [rules](./rules.md): a tree in which nothing has more than
    three modifiers, a graph in which no predicate has two subjects. `scores` and masks are those of that structure.

    [SPIGOT's program](https://aclanthology.org/P18-1173/) has such rules, and decodes with them by
    [AD3](https://www.jmlr.org/papers/v16/martins15a.html), which may end in fractions. Here the answer is exact.
    There are no marginals, and what follows from the argmax, `project` above all, takes many integer programs: with
    surrogate gradients, prefer the relaxation `local`, which is that of the other structure and leaves the rules out.

    Registered as a `Structure` with name "constrained".

    # Parameters

    structure : `Structure`
        The other structure. It says in `linear_rules` what its structures are.
    rules : `list[Rule]`
        What they have to obey.
    """

    def __init__(self, structure: Structure, rules: list[Rule]) -> None:
        if type(structure).linear_rules is Structure.linear_rules:
            raise ConfigurationError(
                f"constrained needs linear_rules, and {registered_name(structure, Structure)} has none"
            )
        self.structure = structure
        self.rules = rules
        self.cells = structure.cells

    def argmax(self, scores: Cells, mask: AnyMask) -> Cells:
        """
        The other structure's argmax, where that obeys the rules. For the other sentences, one by one on the CPU, what
        the structure has in [`best_under`](./structure.md#best_under): integer programs, solved exactly by HiGHS, or,
        of projective trees, linear ones, with a `RuntimeError` where they are
        [too many](../nn/column_generation.md#best_under).
        """
        scores = scores.detach()
        best = self.structure.argmax(scores, mask)
        parts = self.structure.parts(scores, mask).cpu().numpy()
        for sentence, z in enumerate(best.cpu().double().numpy()):
            rules = self._rules(parts[sentence])
            if not rules.are_obeyed_by(z):
                values = np.where(parts[sentence], scores[sentence].double().cpu().numpy(), -np.inf)
                z = self.structure.best_under(rules, values, parts[sentence])
                if z is None:
                    raise ValueError(
                        f"sentence {sentence} has no legal structure: too many of its scores are -inf, or forbidden by "
                        "its rules"
                    )
                best[sentence] = torch.from_numpy(z).to(best)
        return best

    def project_local(self, point: Cells, mask: AnyMask) -> Cells:
        """That of the other structure, whatever the rules."""
        return self.structure.project_local(point, mask)

    def parts(self, scores: Cells, mask: AnyMask) -> torch.Tensor:
        return self.structure.parts(scores, mask)

    def linear_rules(self, parts: np.ndarray) -> LinearRules:
        rules = self._rules(parts)
        rules.extend(self.structure.linear_rules(parts))
        return rules

    def cuts(self, z: np.ndarray, parts: np.ndarray) -> LinearRules:
        return self.structure.cuts(z, parts)

    def _rules(self, parts: np.ndarray) -> LinearRules:
        rules = LinearRules()
        for rule in self.rules:
            rules.extend(rule.linear_rules(parts))
        return rules

    def best_under(self, rules: LinearRules, scores: np.ndarray, parts: np.ndarray) -> np.ndarray | None:
        rules.extend(self._rules(parts))
        return self.structure.best_under(rules, scores, parts)
