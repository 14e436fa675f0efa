"""What a structure is as a distribution, and its best structures: against lists of all; and of long sentences."""

import pytest
import torch
from scipy.stats import chi2

from spigot_allennlp.structures import (
    NonprojectiveTree,
    SemanticGraph,
    Structure,
)
from tests.structures.cases import Case, every_case, every_tree, generator, times, totals
from tests.structures.sentences import full_mask


@every_case
def test_log_prob_of_all_structures(case: Case) -> None:
    for scores in (case.random(0, 5), case.forbidding(1, 20)):
        worth = totals(case.every, scores)
        structures = case.every.unsqueeze(1).expand(-1, len(scores), *case.every.shape[1:])
        found = case.structure.log_prob(structures, scores, full_mask(scores))
        torch.testing.assert_close(found.t(), worth.log_softmax(1))
        torch.testing.assert_close(case.structure.log_prob(structures[3], scores, full_mask(scores)), found[3])


@every_case
def test_log_prob_wants_structures_like_scores(case: Case) -> None:
    scores = case.random(0, 2)
    for structures in (scores[:1], scores[..., :1], scores.expand(2, 3, *scores.shape)):
        with pytest.raises(ValueError, match="expected structures"):
            case.structure.log_prob(structures, scores, full_mask(scores))


@every_case
@pytest.mark.parametrize("scale", [0.1, 1, 30])
def test_entropies_are_sums_over_all(case: Case, scale: float) -> None:
    scores, other = scale * case.random(0, 6), scale * case.random(1, 6)
    mask = full_mask(scores)
    log_p, log_q = totals(case.every, scores).log_softmax(1), totals(case.every, other).log_softmax(1)
    p = log_p.exp()
    close = {"rtol": 1e-9, "atol": 1e-9}
    torch.testing.assert_close(case.structure.entropy(scores, mask), -(p * log_p).sum(1), **close)
    torch.testing.assert_close(case.structure.cross_entropy(scores, other, mask), -(p * log_q).sum(1), **close)
    torch.testing.assert_close(case.structure.kl(scores, other, mask), (p * (log_p - log_q)).sum(1), **close)
    torch.testing.assert_close(case.structure.kl(scores, scores, mask), torch.zeros(6).double(), **close)


@every_case
def test_entropies_with_forbidden_parts(case: Case) -> None:
    scores = case.forbidding(2, 30)
    mask = full_mask(scores)
    log_p = totals(case.every, scores).log_softmax(1)
    p = log_p.exp()
    leaf = scores.clone().requires_grad_()
    entropy = case.structure.entropy(leaf, mask)
    torch.testing.assert_close(entropy, -times(p, log_p).sum(1))
    (gradient,) = torch.autograd.grad(entropy.sum(), leaf)
    assert gradient.isfinite().all() and (gradient[scores == -torch.inf].abs() < 1e-100).all()

    # q forbids what p does, and more: there it is infinite, unless p never does it.
    other = case.random(3, len(scores)).where(scores > -torch.inf, -torch.inf)
    more = other.clone()
    more[1::2][torch.rand(more[1::2].shape, generator=generator()) < 0.1] = -torch.inf
    possible = totals(case.legal, more).amax(1) > -torch.inf
    leaf, more, log_p, p = leaf[possible], more[possible].requires_grad_(), log_p[possible], p[possible]
    log_q = totals(case.every, more.detach()).log_softmax(1)
    missing = (p * (log_q == -torch.inf)).sum(1) > 0
    assert missing.any() and not missing.all()
    for found, expected in (
        (case.structure.cross_entropy(leaf, more, mask[possible]), -times(p, log_q).sum(1)),
        (case.structure.kl(leaf, more, mask[possible]), times(p, log_p - log_q).sum(1)),
    ):
        torch.testing.assert_close(found, expected.masked_fill(missing, torch.inf))
        for gradient in torch.autograd.grad(found.sum(), (leaf, more), retain_graph=True):
            assert gradient.isfinite().all()


def test_a_part_that_only_rounding_gives_a_probability_is_none() -> None:
    # Token 2 has to hang from token 1, which therefore cannot hang from it, whatever the score.
    scores = torch.zeros(1, 3, 3).double()
    scores[0, 2, 0] = -torch.inf
    other = scores.clone()
    other[0, 1, 2] = -torch.inf
    mask = full_mask(scores)
    torch.testing.assert_close(NonprojectiveTree().kl(scores, other, mask), torch.zeros(1).double())
    other[0, 2, 1], other[0, 2, 0] = -torch.inf, 0
    assert NonprojectiveTree().kl(scores, other, mask).tolist() == [torch.inf]


@every_case
def test_derivatives(case: Case) -> None:
    length = 4 if case.name == "k_subset" else 3
    scores, other = (case.random(seed, 2, length).requires_grad_() for seed in (4, 5))
    mask = torch.ones(2, length, dtype=torch.bool)
    mask[1, -1] = False
    structure = case.structure
    assert torch.autograd.gradcheck(lambda s: structure.entropy(s, mask), scores)
    assert torch.autograd.gradcheck(lambda s, o: structure.cross_entropy(s, o, mask), (scores, other))
    assert torch.autograd.gradcheck(lambda s, o: structure.kl(s, o, mask), (scores, other))
    assert torch.autograd.gradgradcheck(lambda s: structure.log_partition(s, mask), scores)
    assert torch.autograd.gradgradcheck(lambda s: structure.marginals(s, mask), scores)
    assert torch.autograd.gradgradcheck(lambda s: structure.entropy(s, mask), scores)


@every_case
def test_second_derivatives_where_scores_are_far_apart(case: Case) -> None:
    scores = (1000 * case.random(6, 4)).requires_grad_()
    (gradient,) = torch.autograd.grad(
        case.structure.log_partition(scores, full_mask(scores)).sum(), scores, create_graph=True
    )
    (second,) = torch.autograd.grad((gradient * case.random(7, 4)).sum(), scores)
    assert second.isfinite().all()


@every_case
def test_minimum_bayes_risk_differs_least_on_average(case: Case) -> None:
    for scores in (case.random(8, 10), case.forbidding(9, 30)):
        p = totals(case.every, scores).softmax(1)
        distance = (case.legal.flatten(1).unsqueeze(1) != case.every.flatten(1)).sum(2).double()
        risk = p @ distance.t()
        risk[totals(case.legal, scores) == -torch.inf] = torch.inf
        z = case.structure.minimum_bayes_risk(scores, full_mask(scores))
        found = (case.legal.unsqueeze(0) == z.unsqueeze(1)).flatten(2).all(2)
        assert (found.sum(1) == 1).all()
        torch.testing.assert_close(risk[found], risk.amin(1))


# Samples


def p_values(case: Case, samples: torch.Tensor, scores: torch.Tensor) -> list[float]:
    """By Pearson's test, for each sentence, that the samples are as likely as their scores say."""
    values = []
    for sentence, s in enumerate(scores):
        drawn = samples[:, sentence].flatten(1).double()
        every = case.every.flatten(1)
        distance = drawn.sum(1, keepdim=True) + every.sum(1) - 2 * drawn @ every.t()
        assert (distance.amin(1) == 0).all(), "no structure"
        observed = torch.bincount(distance.argmin(1), minlength=len(every)).double()
        expected = totals(case.every, s.unsqueeze(0))[0].softmax(0) * len(drawn)
        assert not observed[expected == 0].any()
        rare = expected < 5
        observed = torch.cat([observed[~rare], observed[rare].sum().view(1)])
        expected = torch.cat([expected[~rare], expected[rare].sum().view(1)]).clamp(min=1e-9)
        statistic = ((observed - expected) ** 2 / expected).sum()
        values.append(float(chi2.sf(float(statistic), len(expected) - 1)))
    return values


@every_case
def test_samples_are_as_likely_as_their_scores_say(case: Case) -> None:
    scores = torch.cat([case.random(10, 2), 3 * case.random(11, 2), case.forbidding(12, 20)[:2]])
    samples = case.structure.sample(scores, full_mask(scores), 4000, generator(1))
    assert min(p_values(case, samples, scores)) > 1e-3
    # The test would notice if they were of other scores, be it by a little.
    wrong = scores + 0.3 * case.random(13, len(scores))
    samples = case.structure.sample(wrong, full_mask(scores), 4000, generator(1))
    assert min(p_values(case, samples, scores)) < 1e-6


@pytest.mark.parametrize("likelier", [3, 12, 2000])
@every_tree
def test_samples_where_cycles_are_much_likelier_than_trees(case: Case, likelier: float) -> None:
    """A walk that waits to leave such a cycle would never end."""
    scores = case.random(14, 3)
    for a, b in ((1, 2), (3, 4)):
        scores[:, a, b] += likelier
        scores[:, b, a] += likelier
    samples = case.structure.sample(scores, full_mask(scores), 4000, generator(2))
    assert min(p_values(case, samples, scores)) > 1e-3


@every_case
def test_a_generator_decides(case: Case) -> None:
    scores = case.random(15, 3)
    mask = full_mask(scores)
    before = torch.get_rng_state()
    first, again, another = (case.structure.sample(scores, mask, 5, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, another)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(0)
    first = case.structure.sample(scores, mask, 5)
    assert not torch.equal(case.structure.sample(scores, mask, 5), first)
    torch.manual_seed(0)
    assert torch.equal(case.structure.sample(scores, mask, 5), first)
    assert case.structure.sample(scores, mask).shape == (1, *scores.shape)


# The best structures


@every_case
@pytest.mark.parametrize("generic", [False, True], ids=["own", "from the argmax"])
@pytest.mark.parametrize("kind", ["distinct", "ties", "forbidden"])
def test_top_k_are_the_best_of_all(case: Case, kind: str, generic: bool) -> None:
    scores = {
        "distinct": lambda: case.random(20, 4),
        "ties": lambda: case.random(21, 4).round(),
        "forbidden": lambda: case.forbidding(22, 30)[:6],
    }[kind]()
    mask = full_mask(scores)
    worth = totals(case.legal, scores).sort(1, descending=True).values
    top_k = Structure.top_k if generic else type(case.structure).top_k
    for k in (1, 4, min(len(case.legal) + 3, 40)):
        structures, found = top_k(case.structure, scores, mask, k)
        assert structures.shape == (k, *scores.shape) and found.shape == (k, len(scores))
        expected = torch.nn.functional.pad(worth, (0, 3), value=-torch.inf)[:, :k]
        torch.testing.assert_close(found.t(), expected)
        assert_distinct_and_legal(case, structures, found, scores)


def assert_distinct_and_legal(case: Case, structures: torch.Tensor, found: torch.Tensor, scores: torch.Tensor) -> None:
    for sentence, s in enumerate(scores):
        is_there = found[:, sentence] > -torch.inf
        z = structures[:, sentence]
        assert not z[~is_there].any()
        z = z[is_there].flatten(1)
        assert len(z.unique(dim=0)) == len(z)
        assert (z.unsqueeze(1) == case.legal.flatten(1)).all(2).any(1).all()
        used = s.flatten().where(z > 0, 0.0).sum(1)
        torch.testing.assert_close(used, found[is_there, sentence])


@every_case
def test_all_structures_come_once(case: Case) -> None:
    scores = case.random(23, 1)
    structures, found = case.structure.top_k(scores, full_mask(scores), len(case.legal) + 2)
    assert (found[:-2] > -torch.inf).all() and (found[-2:] == -torch.inf).all()
    assert_distinct_and_legal(case, structures, found, scores)


@pytest.mark.parametrize("worth", [-1e100, -1e30, -1e9])
@every_tree
def test_top_k_with_scores_that_only_the_last_ones_use(case: Case, worth: float) -> None:
    scores = case.random(24, 3)
    scores[:, 2, 1] = worth
    best = totals(case.legal, scores).sort(1, descending=True).values[:, :20]
    for top_k in (Structure.top_k, type(case.structure).top_k):
        torch.testing.assert_close(top_k(case.structure, scores, full_mask(scores), 20)[1].t(), best)


# What all of them promise

ROOTLESS = ("linear_chain", "k_subset")


@every_case
def test_only_the_cells_of_tokens_play_a_part(case: Case) -> None:
    mask = torch.tensor([[1, 1, 1, 1], [1, 0, 1, 1], [1, 1, 1, 0], [1, 0, 0, 1], [1, 0, 0, 0]]).bool()
    if case.name in ROOTLESS:
        mask = torch.cat([mask, ~mask])
    scores, other = case.random(30, len(mask), 4), case.random(31, len(mask), 4)
    parts = case.structure.parts(scores, mask)
    noise = torch.tensor([torch.nan, torch.inf, -torch.inf, 1e9]).double()
    noise = noise[torch.randint(0, 4, scores.shape, generator=generator())]
    noisy, noisy_other = scores.where(parts, noise), other.where(parts, noise)
    structure = case.structure
    structures, found = structure.top_k(noisy, mask, 6)
    samples = structure.sample(noisy, mask, 20, generator())
    best = structure.minimum_bayes_risk(noisy, mask)
    sums = {
        "entropy": structure.entropy(noisy, mask),
        "cross_entropy": structure.cross_entropy(noisy, noisy_other, mask),
        "kl": structure.kl(noisy, noisy_other, mask),
    }
    for z in (structures, samples, best.unsqueeze(0)):
        assert not z[~parts.expand_as(z)].any()
    assert structure.log_prob(samples, noisy, mask).isfinite().all()
    for i, sentence in enumerate(mask):
        s, o = (case.crop(values[i], sentence).unsqueeze(0) for values in (scores, other))
        alone = full_mask(s)
        torch.testing.assert_close(structure.entropy(s, alone)[0], sums["entropy"][i])
        torch.testing.assert_close(structure.cross_entropy(s, o, alone)[0], sums["cross_entropy"][i])
        torch.testing.assert_close(structure.kl(s, o, alone)[0], sums["kl"][i])
        assert torch.equal(structure.minimum_bayes_risk(s, alone)[0], case.crop(best[i], sentence))
        expected, worth = structure.top_k(s, alone, 6)
        torch.testing.assert_close(found[:, i], worth[:, 0])
        assert torch.equal(case.crop(structures[:, i], sentence), expected[:, 0])


@every_case
@pytest.mark.parametrize("length", [1, 3])
def test_a_sentence_without_tokens_has_one_structure(case: Case, length: int) -> None:
    scores = case.random(32, 2, length)
    mask = torch.zeros(2, length, dtype=torch.bool)
    mask[:, 0] = case.name not in ROOTLESS
    if getattr(case.structure, "predicates", False):
        pytest.skip("ROOT may be on")
    structures, found = case.structure.top_k(scores, mask, 2)
    assert not structures.any() and found.tolist() == [[0, 0], [-torch.inf] * 2]
    assert not case.structure.sample(scores, mask, 3).any()
    assert not case.structure.minimum_bayes_risk(scores, mask).any()
    for sums in (case.structure.entropy(scores, mask), case.structure.kl(scores, scores, mask)):
        torch.testing.assert_close(sums, torch.zeros(2).double())


@every_case
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_dtype_is_kept_and_inputs_are_untouched(case: Case, dtype: torch.dtype) -> None:
    scores, other = (case.random(seed, 4).to(dtype).requires_grad_() for seed in (33, 34))
    before = scores.detach().clone()
    mask, structure = full_mask(scores), case.structure
    structures, found = structure.top_k(scores, mask, 3)
    samples = structure.sample(scores, mask, 2)
    best = structure.minimum_bayes_risk(scores, mask)
    for result in (structures, found, samples, best):
        assert result.dtype == dtype and not result.requires_grad
    assert torch.equal(structures, structure.top_k(scores.double(), mask, 3)[0])
    for method, arguments in (
        ("log_prob", (samples, scores)),
        ("entropy", (scores,)),
        ("cross_entropy", (scores, other)),
        ("kl", (scores, other)),
    ):
        result = getattr(structure, method)(*arguments, mask)
        assert result.dtype == dtype and result.requires_grad
        exact = getattr(structure, method)(*(a.double() for a in arguments), mask)
        torch.testing.assert_close(result.double(), exact, rtol=0.01, atol=0.01)
    assert torch.equal(scores.detach(), before)


@every_case
def test_wrong_input_is_refused(case: Case) -> None:
    scores = case.random(36, 3)
    mask, structure = full_mask(scores), case.structure
    operations = {
        "sample": lambda s: structure.sample(s, mask),
        "top_k": lambda s: structure.top_k(s, mask, 2),
        "entropy": lambda s: structure.entropy(s, mask),
        "kl": lambda s: structure.kl(scores, s, mask),
        "minimum_bayes_risk": lambda s: structure.minimum_bayes_risk(s, mask),
    }
    part = structure.parts(scores, mask)[1].nonzero()[0]
    for operation in operations.values():
        for value in (torch.nan, torch.inf):
            broken = scores.clone()
            broken[(1, *part)] = value
            with pytest.raises(ValueError, match="sentence 1"):
                operation(broken)
        if not isinstance(structure, SemanticGraph):
            broken = scores.clone()
            broken[2] = -torch.inf
            with pytest.raises(ValueError, match="sentence 2 has no legal structure"):
                operation(broken)
    with pytest.raises(ValueError, match="expected k of at least 1, found 0"):
        structure.top_k(scores, mask, 0)
    with pytest.raises(ValueError, match="expected num_samples of at least 1, found 0"):
        structure.sample(scores, mask, 0)
