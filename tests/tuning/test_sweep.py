"""The sweep itself, with a training that takes no time. `tests/commands/test_tune.py` has real ones."""

import json
import sqlite3
from contextlib import closing
from types import SimpleNamespace

import pytest
from allennlp.common.checks import ConfigurationError

pytest.importorskip("optuna", reason="needs the extra `tune`")
import optuna
from filelock import FileLock

from spigot_allennlp.framework.bad_input import explain
from spigot_allennlp.tuning import _sweep as sweep_module
from spigot_allennlp.tuning._search_space import SearchSpace
from spigot_allennlp.tuning._sweep import Sweep
from spigot_allennlp.tuning.config import TunedConfig

CONFIG = """{
  hidden_dim:: 5,
  model: { hidden_dim: $.hidden_dim },
  validation_data_path: 'dev.sdp',
  trainer: { optimizer: { lr: 0.001 }, validation_metric: '+labelled_f1' },
}"""
LR = {"type": "float", "low": 0.1, "high": 0.9}
SPACE = {"trainer.optimizer.lr": LR, "hidden_dim": {"type": "int", "low": 1, "high": 1000}}
NUM_EPOCHS = 3


@pytest.fixture
def trainings(monkeypatch):
    """
    What is done instead of trainings: a list of functions of the learning rate, which give the metric or raise, and
    after those the metric is the rate itself. It grows to that from epoch to epoch, unless a list has it of each.
    """
    effects = []

    def train(params, folder, callback):
        folder.mkdir()
        params.to_file(str(folder / "config.json"))
        for name in "best.th", "model_state_e1_b0.th", "model.tar.gz":
            (folder / name).touch()
        lr = params["trainer"]["optimizer"]["lr"]
        value = effects.pop(0)(lr) if effects else lr
        values = value if isinstance(value, list) else [value * (epoch + 1) / NUM_EPOCHS for epoch in range(NUM_EPOCHS)]
        for epoch, value in enumerate(values):
            callback.on_epoch(SimpleNamespace(_num_epochs=NUM_EPOCHS), {"validation_labelled_f1": value}, epoch)
        return {"best_validation_labelled_f1": max(values)}

    monkeypatch.setattr(sweep_module, "train", train)
    monkeypatch.setattr(sweep_module, "check_trainable", lambda params, metric: None)
    return effects


def fail(error):
    def effect(lr):
        raise error

    return effect


@pytest.fixture(scope="module")
def config_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "config.jsonnet"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def open_sweep(trainings, config_file):
    def open_(folder, overrides="", metric=None, space=SPACE, study_name="toy", **options):
        return Sweep(folder, study_name, TunedConfig(config_file, overrides, metric), SearchSpace(space), **options)

    return open_


@pytest.fixture
def sweep(open_sweep, tmp_path):
    return open_sweep(tmp_path / "sweep")


def run(sweep, num_trials):
    sweep.run(num_trials)
    return sweep.study.trials


def die(sweep):
    """Starts a trial, and leaves it as a process does that is killed."""
    trial, lock = sweep._start_trial(100)
    lock.release()  # which the operating system does
    return trial


def settings(trials):
    return [trial.params for trial in trials]


def states(trials):
    return [trial.state.name for trial in trials]


class TestTrials:
    def test_each_has_its_folder_and_its_value(self, sweep, tmp_path):
        trials = run(sweep, 3)
        assert states(trials) == ["COMPLETE"] * 3
        for trial in trials:
            config = json.loads((tmp_path / "sweep" / f"trial-{trial.number}" / "config.json").read_text())
            assert config["trainer"]["optimizer"]["lr"] == trial.params["trainer.optimizer.lr"] == trial.value
            assert config["model"]["hidden_dim"] == trial.params["hidden_dim"]
            assert len(trial.intermediate_values) == NUM_EPOCHS
        assert len(list((tmp_path / "sweep").glob("trial-*/model.tar.gz"))) == 3
        assert not list((tmp_path / "sweep").glob("trial-*.lock"))

    @pytest.mark.parametrize("sampler", sweep_module.SAMPLERS)
    def test_a_seed_gives_the_settings_also_when_going_on(self, open_sweep, tmp_path, sampler):
        at_once = settings(run(open_sweep(tmp_path / "a", sampler=sampler, seed=3), 4))
        run(open_sweep(tmp_path / "b", sampler=sampler, seed=3), 2)
        assert settings(run(open_sweep(tmp_path / "b", sampler=sampler, seed=3), 4)) == at_once
        assert len({trial["hidden_dim"] for trial in at_once}) == 4

    def test_another_seed_gives_others(self, open_sweep, tmp_path):
        drawn = [settings(run(open_sweep(tmp_path / str(seed), seed=seed), 2)) for seed in (0, 1)]
        assert len({trial["hidden_dim"] for trials in drawn for trial in trials}) == 4

    def test_so_many_in_all(self, sweep):
        assert [len(run(sweep, num_trials)) for num_trials in (2, 2, 3, 0)] == [2, 2, 3, 3]

    def test_none_is_started_after_the_timeout(self, sweep):
        sweep.run(3, timeout=0)
        assert sweep.study.trials == []

    @pytest.mark.parametrize("metric, best", [("+labelled_f1", max), ("-labelled_f1", min)])
    def test_the_direction(self, open_sweep, tmp_path, metric, best):
        sweep = open_sweep(tmp_path, metric=metric)
        assert best(trial.value for trial in run(sweep, 3)) == sweep.study.best_value

    def test_only_the_best_keeps_its_weights(self, open_sweep, tmp_path):
        sweep = open_sweep(tmp_path, keep_best_only=True)
        run(sweep, 4)
        best = f"trial-{sweep.study.best_trial.number}"
        for pattern in "*/*.th", "*/model.tar.gz":
            assert {path.parent.name for path in tmp_path.glob(pattern)} == {best}
        assert len(list(tmp_path.glob("trial-*/config.json"))) == 4

    @pytest.mark.parametrize("num_reads", [1, 2])
    def test_one_that_becomes_the_best_meanwhile_keeps_them_too(self, open_sweep, tmp_path, monkeypatch, num_reads):
        sweep = open_sweep(tmp_path)
        trial, lock = sweep._start_trial(100)  # of another process
        (tmp_path / "trial-0").mkdir()
        (tmp_path / "trial-0" / "best.th").touch()
        run(sweep, 2)
        storage, reads = sweep.study._storage, []

        def before_it_ends(read):
            def reading(*args, **kwargs):
                reads.append(read(*args, **kwargs))
                if len(reads) == num_reads:
                    sweep.study.tell(trial, 1.0)
                return reads[-1]

            return reading

        for name in "get_all_trials", "get_best_trial":
            monkeypatch.setattr(storage, name, before_it_ends(getattr(storage, name)))
        sweep._delete_weights()
        lock.release()
        assert (tmp_path / "trial-0" / "best.th").exists()


class TestTrialsThatDoNotComplete:
    def test_an_error_is_recorded_and_the_sweep_goes_on(self, trainings, sweep):
        trainings += [fail(ConfigurationError("no\nsuch size")), lambda lr: float("nan")]
        trials = run(sweep, 3)
        assert states(trials) == ["FAIL", "FAIL", "COMPLETE"]
        assert trials[0].user_attrs["error"] == "no such size"
        assert trials[1].user_attrs["error"] == "ValueError: labelled_f1 is nan after epoch 0"

    @pytest.mark.parametrize("pruner, state, num_epochs", [("median", "PRUNED", 1), ("none", "COMPLETE", NUM_EPOCHS)])
    def test_the_worse_half_is_pruned(self, trainings, open_sweep, tmp_path, pruner, state, num_epochs):
        trainings += [lambda lr: 0.5] * 5 + [lambda lr: 0.4, lambda lr: 0.6]
        trials = run(open_sweep(tmp_path, pruner=pruner), 7)
        assert states(trials) == ["COMPLETE"] * 5 + [state, "COMPLETE"]
        assert list(trials[5].intermediate_values) == list(range(num_epochs))

    def test_after_its_last_epoch_a_trial_is_complete(self, trainings, sweep):
        trainings += [lambda lr: [0.1, 0.2, 0.5]] * 5 + [lambda lr: [0.2, 0.3, 0.4]]
        trials = run(sweep, 6)
        assert states(trials) == ["COMPLETE"] * 6 and trials[5].value == 0.4

    def test_an_interruption_ends_the_sweep_and_the_settings_are_tried_again(self, trainings, sweep):
        run(sweep, 1)
        for _ in range(4):  # however often
            trainings.append(fail(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                sweep.run(3)
        trials = run(sweep, 3)
        assert states(trials) == ["COMPLETE"] + ["FAIL"] * 4 + ["COMPLETE"] * 2
        assert settings(trials)[1:5] == settings(trials)[2:6]

    def test_the_settings_of_a_killed_trial_are_tried_again(self, open_sweep, tmp_path):
        sweep = open_sweep(tmp_path / "killed", sampler="random")
        killed = die(sweep)
        trials = run(sweep, 3)
        assert states(trials) == ["FAIL"] + ["COMPLETE"] * 3
        assert trials[1].params == killed.params
        assert settings(trials[1:]) == settings(run(open_sweep(tmp_path / "undisturbed", sampler="random"), 3))
        assert not list((tmp_path / "killed").glob("trial-*.lock"))

    def test_but_not_for_ever(self, sweep):
        killed = [die(sweep).params for _ in range(4)]
        assert killed[0] == killed[1] == killed[2] != killed[3]

    def test_a_trial_of_another_process_is_left_alone(self, sweep):
        _, lock = sweep._start_trial(100)
        assert states(run(sweep, 3)) == ["RUNNING", "COMPLETE", "COMPLETE"]
        lock.release()

    def test_one_that_ends_while_it_is_looked_at_is_left_alone(self, sweep, monkeypatch):
        trial, lock = sweep._start_trial(100)
        acquire = FileLock.acquire

        def acquire_when_it_has_ended(self, *args, **kwargs):
            if self.lock_file == lock.lock_file and lock.is_locked:
                sweep.study.tell(trial, 0.5)
                lock.release()
            return acquire(self, *args, **kwargs)

        monkeypatch.setattr(FileLock, "acquire", acquire_when_it_has_ended)
        assert states(run(sweep, 2)) == ["COMPLETE", "COMPLETE"]


class TestErrors:
    @pytest.mark.parametrize(
        "options, message",
        [
            ({"study_name": "other"}, "has the study toy, expected other"),
            ({"space": {"trainer.optimizer.lr": LR}}, "a study of another search space"),
            ({"metric": "-loss"}, "a study of another metric"),
            ({"overrides": '{"trainer.num_epochs": 2}'}, "a study of another config"),
        ],
    )
    def test_another_study(self, sweep, open_sweep, tmp_path, options, message):
        with pytest.raises(ConfigurationError, match=message):
            open_sweep(tmp_path / "sweep", **options)

    @pytest.mark.parametrize(
        "options, message",
        [
            ({"sampler": "grid"}, "expected a sampler that is one of tpe, random, gp, found grid"),
            ({"pruner": "best"}, "expected a pruner that is one of median, none, found best"),
            ({"space": {"hiden_dim": LR}}, "the config has no 'hiden_dim'"),
            ({"seed": -1}, "expected a seed of at least 0, found -1"),
        ],
    )
    def test_nothing_is_written(self, open_sweep, tmp_path, options, message):
        with pytest.raises(ConfigurationError, match=message):
            open_sweep(tmp_path / "sweep", **options)
        assert not (tmp_path / "sweep").exists()

    def test_a_folder_with_something_else(self, open_sweep, tmp_path):
        (tmp_path / "thesis.tex").touch()
        with pytest.raises(ConfigurationError, match="neither a new folder nor that of a study"):
            open_sweep(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]

    def test_what_cannot_be_a_folder(self, open_sweep, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(ConfigurationError, match="neither a new folder nor that of a study"):
            open_sweep(tmp_path / "file")
        with pytest.raises(ConfigurationError, match=r"expected a folder that can be made, found .*Not a directory"):
            open_sweep(tmp_path / "file" / "sweep")

    def test_a_database_that_is_locked(self, sweep, open_sweep, tmp_path, monkeypatch):
        def without_waiting(url, engine_kwargs):
            return optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 0}})

        monkeypatch.setattr(sweep_module, "RDBStorage", without_waiting)
        database = tmp_path / "sweep" / "study.db"
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            with pytest.raises(ConfigurationError) as caught:
                open_sweep(tmp_path / "sweep")
        assert explain(caught.value) == f"{database}: database is locked"

    def test_a_file_that_is_no_database(self, open_sweep, tmp_path):
        (tmp_path / "study.db").write_text("no database" * 100)
        with pytest.raises(ConfigurationError, match="not the database of a study: file is not a database"):
            open_sweep(tmp_path)
