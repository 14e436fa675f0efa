"""Studies with real trainings. `tests/comparing` has the parts."""

import builtins
import csv
import json
import re
import signal

import pytest
from allennlp.commands import main
from allennlp.commands.evaluate import evaluate_from_archive
from allennlp.common.checks import ConfigurationError

pytest.importorskip("optuna", reason="needs the extra `tune`")
from spigot_allennlp.commands.compare import compare_archives, compare_methods
from spigot_allennlp.comparing import _study as study_module
from spigot_allennlp.framework.bad_input import explain
from tests import FIXTURES_ROOT
from tests.programs import THE_COMMAND, Program, kill_and_interrupt

TOY = FIXTURES_ROOT / "latent_tree_classifier.jsonnet"
DATA = str(FIXTURES_ROOT / "listops" / "dev.jsonl")
METHODS = "spigot,pipeline"
FILES = {"report.txt", "report.json", "report.html", "runs.csv", "pairs.csv", "plot.png"}


@pytest.fixture(autouse=True)
def root(monkeypatch):
    monkeypatch.chdir(FIXTURES_ROOT.parent)


@pytest.fixture
def spigot_compare(monkeypatch):
    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["allennlp", "spigot-compare", *map(str, arguments)])
        main()

    handler = signal.getsignal(signal.SIGTERM)
    yield run
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two runs of two methods, and of one of them under another name."""
    folder = tmp_path_factory.mktemp("study") / "study"
    part = folder.parent / "same.libsonnet"
    part.write_text("{}")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(FIXTURES_ROOT.parent)
        text = compare_methods(TOY, f"{METHODS},same={part}", folder, num_seeds=2)
    return folder, text


def read(folder):
    return json.loads((folder / "report.json").read_text())


def test_a_study_has_its_runs_and_its_report(study):
    folder, text = study
    assert {path.name for path in folder.iterdir()} - {"study.lock"} == {
        "spigot",
        "pipeline",
        "same",
        "study.json",
        *FILES,
    }
    assert (folder / "report.txt").read_text() == text
    report = read(folder)
    assert report["runs"] == {name: ["seed 0", "seed 1"] for name in ("spigot", "pipeline", "same")}
    with open(folder / "runs.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    for row in rows:
        run = folder / row["method"] / row["run"].replace(" ", "-")
        evaluated = evaluate_from_archive(run / "model.tar.gz", DATA)
        assert {name: float(row[name]) for name in ("accuracy", "uas", "uem")} == {
            name: evaluated[name] for name in ("accuracy", "uas", "uem")
        }
        config = json.loads((run / "config.json").read_text())
        assert config["model"]["intermediate"]["type"] == row["method"].replace("same", "spigot")
        assert config["pytorch_seed"] == int(row["run"][-1])
        assert not list(run.glob("*.th")) and not list(run.parent.glob("*.lock"))
    assert {(pair["one"], pair["other"]) for pair in report["pairs"]} == {
        ("spigot", "pipeline"),
        ("spigot", "same"),
        ("pipeline", "same"),
    }


def test_the_same_method_under_two_names_is_not_to_be_told_apart(study):
    folder, text = study
    (pair,) = (pair for pair in read(folder)["pairs"] if (pair["one"], pair["other"]) == ("spigot", "same"))
    assert pair["difference"]["difference"] == 0 and pair["p"] == 1 and not pair["told_apart"]
    assert "spigot and same are not to be told apart in accuracy: " in text
    table = read(folder)["agreements"]["tree"]
    assert table["spigot"]["same"] >= table["spigot"]["spigot"] and table["spigot"]["gold"] == table["same"]["gold"]


def test_the_page_needs_nothing_from_elsewhere(study):
    page = (study[0] / "report.html").read_text()
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:|#)|@import|url\(""", page)
    assert "<svg" in page and "not to be told apart" in page and 'src="data:image/png;base64,' in page


def test_it_goes_on_with_more_seeds_and_trains_nothing_twice(study, monkeypatch, tmp_path):
    folder, text = study
    part = folder.parent / "same.libsonnet"

    def no_more(*arguments):
        raise AssertionError("trained again")

    monkeypatch.setattr(study_module, "train", no_more)
    monkeypatch.setattr(study_module, "evaluate", no_more)
    assert compare_methods(TOY, f"{METHODS},same={part}", folder, num_seeds=2) == text
    assert "spigot, seed 2: not trained yet" in compare_methods(TOY, METHODS, folder, num_seeds=3, timeout=0)
    with pytest.raises(ConfigurationError, match="has a study with another config of spigot"):
        compare_methods(TOY, METHODS, folder, overrides='{"trainer.num_epochs": 2}')


def test_archives_give_the_report_of_the_study(study, spigot_compare, capsys, tmp_path):
    folder, _ = study
    archives = [
        f"{name}=" + ",".join(str(folder / name / f"seed-{seed}" / "model.tar.gz") for seed in range(2))
        for name in ("spigot", "pipeline")
    ]
    spigot_compare(*archives, "--data", DATA, "-s", tmp_path / "report")
    assert {path.name for path in (tmp_path / "report").iterdir()} == FILES
    from_study, from_archives = read(folder), read(tmp_path / "report")
    for metric, values in from_archives["figures"].items():
        for name in ("spigot", "pipeline"):
            assert values[name] == from_study["figures"][metric][name]
    (pair,) = from_archives["pairs"]
    assert pair["difference"] == from_study["pairs"][0]["difference"]
    assert (tmp_path / "report" / "report.txt").read_text() in capsys.readouterr().out
    assert compare_archives(archives, DATA, metrics=["uas"]).count("in uas") == 1


@pytest.mark.slow
def test_what_is_interrupted_is_trained_again_alone(tmp_path, monkeypatch):
    train, trained = study_module.train, []

    def interrupted(params, folder):
        trained.append(folder)
        train(params, folder)
        if len(trained) == 2:
            raise KeyboardInterrupt
        return json.loads((folder / "metrics.json").read_text())

    monkeypatch.setattr(study_module, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compare_methods(TOY, METHODS, tmp_path, num_seeds=1)
    assert "1 run" not in compare_methods(TOY, METHODS, tmp_path, num_seeds=1)
    assert [folder.parent.name for folder in trained] == ["spigot", "pipeline", "pipeline"]
    assert read(tmp_path)["notes"] == []


@pytest.mark.slow
def test_a_run_that_fails_is_told_and_the_others_are_compared(tmp_path, monkeypatch):
    train = study_module.train

    def failing(params, folder):
        if (folder.parent.name, folder.name) == ("pipeline", "seed-1"):
            raise ValueError("no\nluck")
        return train(params, folder)

    monkeypatch.setattr(study_module, "train", failing)
    text = compare_methods(TOY, METHODS, tmp_path, num_seeds=2)
    assert "pipeline, seed 1: failed, ValueError: no luck" in text
    assert read(tmp_path)["runs"] == {"spigot": ["seed 0", "seed 1"], "pipeline": ["seed 0"]}


@pytest.mark.slow
@pytest.mark.parametrize("per_method", [False, True])
def test_each_method_is_tuned_first(tmp_path, per_method):
    setting = {"type": "float", "low": 1e-3, "high": 1e-1, "log": True}
    space = {"trainer.optimizer.lr": setting}
    spaces = {"spigot": {**space, "model.intermediate.step_size": setting}, "pipeline": space}
    path = tmp_path / "space.json"
    path.write_text(json.dumps(spaces if per_method else space))
    study = tmp_path / "study"
    text = compare_methods(TOY, METHODS, study, num_seeds=1, space_file=path, num_trials=2)
    assert "by which epochs and settings were chosen" in text and "Chosen settings:\nspigot: " in text
    for name, settings in read(study)["settings"].items():
        config = json.loads((study / name / "seed-0" / "config.json").read_text())
        assert config["trainer"]["optimizer"]["lr"] == settings["trainer.optimizer.lr"]
        assert ("model.intermediate.step_size" in settings) == (per_method and name == "spigot")
        assert len(list((study / name / "tuning").glob("trial-*"))) == 2


@pytest.mark.slow
def test_a_method_without_a_complete_trial_fails_alone(tmp_path):
    path = tmp_path / "space.json"
    lr = {
        name: {"type": "categorical", "choices": choices} for name, choices in (("spigot", [0.1]), ("pipeline", [-1.0]))
    }
    path.write_text(json.dumps({name: {"trainer.optimizer.lr": setting} for name, setting in lr.items()}))
    study = tmp_path / "study"
    text = compare_methods(TOY, METHODS, study, num_seeds=1, space_file=path, num_trials=1)
    assert re.search(r"pipeline, seed 0: failed, .*no complete trial: .*Invalid learning rate: -1", text)
    assert list(read(study)["runs"]) == list(read(study)["settings"]) == ["spigot"]


@pytest.mark.slow
def test_processes_share_a_study_and_what_is_killed_is_trained_again(tmp_path):
    # Trainings long enough that both processes are in one at the same time.
    overrides, folder = '{"trainer.num_epochs": 15}', tmp_path / "study"
    options = ["--methods", METHODS, "--seeds", "1", "-s", folder, "-o", overrides]
    processes = [Program(THE_COMMAND, "spigot-compare", TOY, *options) for _ in range(2)]
    locks = [folder / name / "seed-0.lock" for name in METHODS.split(",")]
    kill_and_interrupt(processes, lambda: all(lock.exists() for lock in locks))
    assert not list(folder.glob("*/seed-0/run.json"))

    compare_methods(TOY, METHODS, folder, num_seeds=1, overrides=overrides)
    assert read(folder)["runs"] == {"spigot": ["seed 0"], "pipeline": ["seed 0"]}


class TestErrors:
    @pytest.mark.parametrize(
        "arguments, message",
        [
            ([TOY, "--methods", METHODS], "expected one config and --serialization-dir"),
            ([TOY, TOY, "--methods", METHODS, "-s", "{}"], "expected one config and --serialization-dir"),
            ([TOY, "-s", "{}"], "expected --methods, for a config, or --data, for archives"),
            ([TOY, "--methods", METHODS, "-s", "{}", "--seeds", "0"], "a number of seeds of at least 1, found 0"),
            ([TOY, "--methods", METHODS, "-s", "{}", "--tune-trials", "2"], "give both, or neither"),
            ([TOY, "--methods", METHODS, "-s", "."], "is neither a new folder nor that of a study"),
            ([TOY, "--methods", METHODS, "-s", "{}", "--test", "nowhere.jsonl"], "nowhere.jsonl"),
            ([TOY, "--methods", METHODS, "-s", "{}", "-o", '{"train_data_path": "nowhere.jsonl"}'], "nowhere.jsonl"),
            ([TOY, "--methods", METHODS, "-s", "{}", "-o", '{"model.no": 1}'], "unexpected keyword argument 'no'"),
            (["nowhere.jsonnet", "--methods", METHODS, "-s", "{}"], "nowhere.jsonnet"),
            (["a=nowhere.tar.gz", "b=nowhere.tar.gz", "--data", DATA], "found no file nowhere.tar.gz"),
        ],
    )
    def test_one_line_says_what_is_wrong_and_nothing_is_written(self, spigot_compare, tmp_path, arguments, message):
        folder = tmp_path / "study"
        with pytest.raises((ConfigurationError, FileNotFoundError)) as caught:
            spigot_compare(*(str(argument).replace("{}", str(folder), 1) for argument in arguments))
        text = explain(caught.value)
        assert re.search(message, text) and "\n" not in text
        assert not folder.exists()

    def test_a_metric_that_there_is_not(self, study):
        folder, _ = study
        with pytest.raises(ConfigurationError, match="one of accuracy, uas, uem, found f1"):
            compare_methods(TOY, METHODS, folder, num_seeds=2, metrics=["f1"])

    def test_a_search_space_for_each_method(self, tmp_path):
        path = tmp_path / "space.json"
        path.write_text(json.dumps({"spigot": {"hidden_dim": {"type": "int", "low": 2, "high": 3}}}))
        with pytest.raises(ConfigurationError, match="expected a search space for pipeline, found those of spigot"):
            compare_methods(TOY, METHODS, tmp_path / "study", space_file=path, num_trials=1)

    def test_without_the_extra(self, tmp_path, monkeypatch):
        find = builtins.__import__

        def find_no_optuna(name, *args, **kwargs):
            if name == "optuna":
                raise ModuleNotFoundError("No module named 'optuna'")
            return find(name, *args, **kwargs)

        monkeypatch.setattr(builtins, "__import__", find_no_optuna)
        with pytest.raises(ConfigurationError, match=r"No module named .optuna.: install the extra `tune`"):
            compare_methods(TOY, METHODS, tmp_path / "study")
        assert not (tmp_path / "study").exists()
