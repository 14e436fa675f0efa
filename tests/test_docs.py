"""What the documentation says can be run, runs."""

import inspect
import json
import re

import pytest
import torch
from allennlp.common import Params
from allennlp.common.params import evaluate_snippet

from spigot_allennlp.data.sdp import parse_sdp
from spigot_allennlp.structures import Structure
from spigot_allennlp.surrogates import StructuredArgmax
from tests import FIXTURES_ROOT

ROOT = FIXTURES_ROOT.parent


def python_blocks(name: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), flags=re.DOTALL)


def run(code: str) -> dict:
    namespace = {}
    exec(compile(code, "<docs>", "exec"), namespace)
    return namespace


def test_latent_tree_learns():
    assert run(python_blocks("docs/pytorch.md")[0])["accuracy"] > 0.9  # with random trees 0.8


def test_a_structure_of_your_own_gets_gradients():
    result = run(python_blocks("docs/pytorch.md")[1])
    assert result["scores"].grad.isfinite().all() and result["scores"].grad.any()
    soft = result["soft"].detach()
    assert soft[0].sum(dim=1).tolist() == pytest.approx([1] * 5, abs=1e-5)
    assert soft[0].sum(dim=0).tolist() == pytest.approx([1] * 5, abs=1e-5)
    assert not soft[1, 3:].any()


def test_a_constituency_crf_learns():
    (code,) = [block for block in python_blocks("docs/pytorch.md") if "class ConstituencyCRF" in block]
    result = run(code)
    assert result["accuracy"] > 0.9
    assert result["others"].sum((2, 3, 4)).tolist() == [(2.0 * result["mask"].sum(1) - 1).tolist()] * 10


def test_sequences_of_other_libraries():
    result = run(python_blocks("docs/pytorch.md")[-1])
    torch.testing.assert_close(result["labels"].sum(2), result["mask"].float())
    assert result["unary"].grad.any() and result["transitions"].grad.isfinite().all()


def test_what_others_call_something_is_there():
    section = (ROOT / "docs" / "pytorch.md").read_text(encoding="utf-8").partition("\n## What others call it\n")[2]
    ours = re.findall(r"^\| (`.*?) *\|", section, flags=re.MULTILINE)
    names = [name for cell in ours for name in re.findall(r"`(\w+)`", cell)]
    assert len(names) > 15
    assert all(name in Structure.list_available() or hasattr(Structure, name) for name in names)


def test_the_structures_are_all_there():
    text = (ROOT / "docs" / "pytorch.md").read_text(encoding="utf-8")
    section = text[text.index("\n## Structures\n") :].partition("\n## Structures by chance")[0]
    rows = [re.split(r" *\| *", row)[1:3] for row in re.findall(r"^\| `.*$", section, flags=re.MULTILINE)]
    listed = {name.strip("`"): cells for name, cells in rows}
    ours = {name for name in Structure.list_available() if Structure.by_name(name).__module__.startswith("spigot_")}
    assert listed.keys() == ours
    assert all(Structure.by_name(name).cells in (cells, "parts") for name, cells in listed.items())
    (config,) = re.findall(r"```jsonnet\n(.*?)```", section, flags=re.DOTALL)
    structure = Structure.from_params(Params(json.loads(evaluate_snippet("docs", config))))
    z = structure.argmax(torch.zeros(1, 6, 6), torch.ones(1, 6, dtype=torch.bool))[0]
    assert z[4, 0] == 1 and z[2, 1] == 0 and z.sum(0).max() <= 3


def block_with(name: str, text: str) -> str:
    (block,) = (block for block in python_blocks(name) if text in block)
    return block


def test_samples_give_the_gradient_of_what_they_cost():
    result = run(block_with("docs/pytorch.md", "consensus ="))
    assert result["costs"][-1] < [8.5, 6]  # 7 and 5 are the least, 20.5 and 10.9 where all trees are as likely
    assert result["totals"].diff(dim=0).max() <= 0
    assert (result["consensus"] * result["lengths"]).sum((1, 2)).tolist() == [7, 5]


def test_costs_and_entropy_are_in_balance():
    result = run(block_with("docs/pytorch.md", "structure.entropy("))
    assert 0 < result["divergence"].item() < 0.1


def test_the_methods_are_all_there_and_their_options_have_their_defaults():
    text = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    snippets = re.findall(r"^{ type: .*}$", text, flags=re.MULTILINE)
    configs = {config["type"]: config for config in (json.loads(evaluate_snippet("docs", line)) for line in snippets)}
    assert configs.keys() == set(StructuredArgmax.list_available())
    for name, config in configs.items():
        structure = {} if "argmax" in config else {"structure": {"type": "nonprojective_tree"}}
        StructuredArgmax.from_params(Params({**config, **structure}))
        parameters = inspect.signature(StructuredArgmax.by_name(name)).parameters.values()
        defaults = {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}
        assert config.items() >= defaults.items()


def test_the_sdp_example_can_be_written_and_read(capsys):
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```\n(#SDP 2015\n.*?)```", text, flags=re.DOTALL)
    (sentence,) = parse_sdp(example.splitlines())
    assert sentence.tops == [2] and (4, 1, "ARG0") in sentence.arcs
    run(python_blocks("docs/data.md")[0])
    (written,) = parse_sdp(capsys.readouterr().out.splitlines())
    assert written.arcs == [(2, 1, "ARG0")]


def test_ci_runs_the_command_of_the_readme():
    (command,) = re.findall(r"^(pip install uv .*pytest)$", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()


def test_the_overrides_are_those_of_the_project():
    overrides = (ROOT / "docs" / "overrides.txt").read_text(encoding="utf-8").split()
    table = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("override-dependencies = [")[2]
    assert overrides == re.findall(r'^    "(.*)",$', table.partition("]")[0], flags=re.MULTILINE)


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 130
