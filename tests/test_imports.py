"""What comes along when parts of the package are imported, each time in a new interpreter."""

import subprocess
import sys

from tests import FIXTURES_ROOT

HEAVY = ("allennlp.training", "allennlp.commands", "allennlp.models", "allennlp.data", "torchvision", "numba")


def modules_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    command = [sys.executable, "-W", "ignore", "-c", code]
    root = FIXTURES_ROOT.parent
    return set(subprocess.run(command, capture_output=True, text=True, check=True, cwd=root).stdout.split())


def test_the_package_itself_is_a_docstring():
    imported = modules_after("import spigot_allennlp")
    assert {name for name in imported if name.startswith("spigot_allennlp")} == {"spigot_allennlp"}
    assert "torch" not in imported and "allennlp" not in imported


def test_the_core_needs_neither_trainer_nor_models_nor_readers():
    imported = modules_after(
        "from spigot_allennlp.structures import NonprojectiveTree\nfrom spigot_allennlp.surrogates import Spigot"
    )
    assert "spigot_allennlp.structures.nonprojective_tree" in imported
    assert not imported & set(HEAVY)
    ours = {name.split(".")[1] for name in imported if name.startswith("spigot_allennlp.")}
    assert ours <= {"checks", "nn", "structures", "surrogates"}


def test_pure_functions_need_torch_alone():
    imported = modules_after("from spigot_allennlp.nn.simplex import project_onto_simplex")
    assert not any(name.startswith("allennlp") for name in imported)
