import threading
import time
from concurrent.futures import CancelledError, wait

import pytest

from spigot_allennlp.server.micro_batcher import MicroBatcher, QueueFullError
from spigot_allennlp.server.model_process import ModelProcessError
from tests import PATIENCE


class Model:
    """
    Doubles numbers, one batch at a time and each only when it may; a negative number is an error, 0 the end of its
    process, and to 99 it has no answer.
    """

    tagger = None

    def __init__(self, free=True):
        self.batches = []
        self.begun = threading.Semaphore(0)
        self.may_go_on = threading.Event()
        if free:
            self.may_go_on.set()

    def predict_sentences(self, batch):
        self.batches.append(batch)
        self.begun.release()
        assert self.may_go_on.wait(PATIENCE)
        if min(batch) < 0:
            raise ArithmeticError(f"{min(batch)} is negative")
        if min(batch) == 0:
            raise ModelProcessError("ended")
        if max(batch) == 99:
            return []
        return [2 * number for number in batch]


@pytest.fixture
def start():
    """Starts batchers, and ends them after the test."""
    batchers = []

    def start(model, size=lambda number: 1, max_batch_size=4, max_pending=100, num_workers=1, **kwargs):
        batchers.append(MicroBatcher([model] * num_workers, size, max_batch_size, max_pending, **kwargs))
        return batchers[-1]

    yield start
    for batcher in batchers:
        batcher.close()


def request(*numbers):
    return lambda tagger: list(numbers)


def test_each_request_gets_the_outputs_of_its_own_sentences(start):
    model = Model(free=False)
    batcher = start(model)
    answers = [batcher.submit(request(*range(100 * n, 100 * n + n))) for n in range(1, 20)]
    model.may_go_on.set()
    assert [answer.result(PATIENCE) for answer in answers] == [
        [2 * (100 * n + i) for i in range(n)] for n in range(1, 20)
    ]


def test_what_arrives_while_the_model_is_busy_goes_into_one_batch(start):
    model, sizes = Model(free=False), []
    batcher = start(model, on_batch=sizes.append)
    first = batcher.submit(request(1))
    assert model.begun.acquire(timeout=PATIENCE)
    others = [batcher.submit(request(n)) for n in (2, 3, 4, 5, 6)]
    model.may_go_on.set()
    wait([first, *others], PATIENCE)
    assert model.batches == [[1], [2, 3, 4, 5], [6]]
    assert sizes == [1, 4, 1]


def test_a_batch_is_as_large_as_it_may_be_and_what_is_larger_goes_alone(start):
    model = Model()
    batcher = start(model, size=abs, max_batch_size=10)
    assert batcher.submit(request(3, 7, 1, 50, 9, 2)).result(PATIENCE) == [6, 14, 2, 100, 18, 4]
    assert model.batches == [[3, 7], [1], [50], [9], [2]]


def test_a_request_that_is_cancelled_is_not_begun(start):
    model = Model(free=False)
    batcher = start(model)
    first = batcher.submit(request(1))
    assert model.begun.acquire(timeout=PATIENCE)
    unwanted, last = batcher.submit(request(2)), batcher.submit(request(3))
    assert unwanted.cancel()
    model.may_go_on.set()
    assert (first.result(PATIENCE), last.result(PATIENCE)) == ([2], [6])
    assert model.batches == [[1], [3]]


def test_the_rest_of_a_request_that_is_cancelled_is_dropped(start):
    model = Model(free=False)
    batcher = start(model)
    long = batcher.submit(request(*range(1, 90)))
    assert model.begun.acquire(timeout=PATIENCE)
    last = batcher.submit(request(7))
    assert long.cancel()
    model.may_go_on.set()
    assert last.result(PATIENCE) == [14]
    assert model.batches == [[1, 2, 3, 4], [7]]
    with pytest.raises(CancelledError):
        long.result(PATIENCE)


def test_too_many_requests_are_refused_until_one_is_answered(start):
    model = Model(free=False)
    batcher = start(model, max_pending=2)
    accepted = [batcher.submit(request(n)) for n in (1, 2)]
    with pytest.raises(QueueFullError):
        batcher.submit(request(3))
    model.may_go_on.set()
    wait(accepted, PATIENCE)
    assert batcher.submit(request(3)).result(PATIENCE) == [6]


def test_what_a_request_cannot_read_is_its_own_error(start):
    def broken(tagger):
        raise ValueError("no sentence")

    batcher = start(Model())
    bad, good = batcher.submit(broken), batcher.submit(request(1))
    with pytest.raises(ValueError, match="no sentence"):
        bad.result(PATIENCE)
    assert good.result(PATIENCE) == [2]


def test_the_failure_of_one_sentence_is_not_that_of_the_batch(start):
    model = Model(free=False)
    batcher = start(model)
    first = batcher.submit(request(1))
    assert model.begun.acquire(timeout=PATIENCE)
    good, bad, other = (batcher.submit(request(*numbers)) for numbers in ((2,), (3, -1), (4,)))
    model.may_go_on.set()
    with pytest.raises(ArithmeticError, match="-1 is negative"):
        bad.result(PATIENCE)
    assert [answer.result(PATIENCE) for answer in (first, good, other)] == [[2], [4], [8]]


def test_a_process_that_ends_fails_its_batch_at_once(start):
    model = Model(free=False)
    batcher = start(model)
    first = batcher.submit(request(1))
    assert model.begun.acquire(timeout=PATIENCE)
    others = [batcher.submit(request(number)) for number in (2, 0, 3)]
    model.may_go_on.set()
    for other in others:
        with pytest.raises(ModelProcessError):
            other.result(PATIENCE)
    assert first.result(PATIENCE) == [2]
    assert batcher.submit(request(4)).result(PATIENCE) == [8]
    assert model.batches == [[1], [2, 0, 3], [4]]


def test_a_model_that_does_not_keep_its_word_is_an_error(start):
    batcher = start(Model())
    with pytest.raises(ValueError, match="zip"):
        batcher.submit(request(99)).result(PATIENCE)
    assert batcher.submit(request(1)).result(PATIENCE) == [2]


def test_of_a_request_that_has_failed_nothing_is_tried_again(start):
    model = Model()
    batcher = start(model)
    with pytest.raises(ArithmeticError):
        batcher.submit(request(-1, 1, 2)).result(PATIENCE)
    assert batcher.submit(request(4)).result(PATIENCE) == [8]
    assert model.batches == [[-1, 1, 2], [-1], [4]]


@pytest.mark.parametrize("num_workers", [1, 2])
def test_requests_that_are_slow_to_read_do_not_keep_others_from_their_answer(start, num_workers):
    batcher = start(Model(), num_workers=num_workers, max_pending=1000)
    stop = threading.Event()

    def refuse(tagger):
        time.sleep(0.06)
        raise ValueError("too much")

    def flood():
        while not stop.is_set():
            with pytest.raises(ValueError, match="too much"):
                batcher.submit(refuse).result(PATIENCE)

    clients = [threading.Thread(target=flood) for _ in range(8)]
    for client in clients:
        client.start()
    try:
        assert batcher.submit(request(1)).result(PATIENCE) == [2]
    finally:
        stop.set()
        for client in clients:
            client.join(PATIENCE)


def test_workers_predict_at_once_and_share_a_request(start):
    model = Model(free=False)
    batcher = start(model, num_workers=2)
    answer = batcher.submit(request(*range(1, 11)))
    for _ in range(2):
        assert model.begun.acquire(timeout=PATIENCE)
    assert sorted(model.batches) == [[1, 2, 3, 4], [5, 6, 7, 8]]
    model.may_go_on.set()
    assert answer.result(PATIENCE) == [2 * number for number in range(1, 11)]


def test_workers_read_at_once(start):
    both = threading.Barrier(2, timeout=PATIENCE)

    def read(tagger):
        both.wait()
        return [1]

    batcher = start(Model(), num_workers=2)
    assert [answer.result(PATIENCE) for answer in [batcher.submit(read), batcher.submit(read)]] == [[2], [2]]


def test_many_requests_to_many_workers_keep_their_answers(start):
    batcher = start(Model(), num_workers=4, max_pending=1000)
    answers = [batcher.submit(request(*range(n, n + n % 7))) for n in range(100, 600)]
    assert [answer.result(PATIENCE) for answer in answers] == [
        [2 * i for i in range(n, n + n % 7)] for n in range(100, 600)
    ]


@pytest.mark.parametrize("num_workers", [1, 3])
def test_closing_finishes_what_was_accepted(num_workers):
    model = Model(free=False)
    batcher = MicroBatcher([model] * num_workers, lambda number: 1, max_batch_size=2, max_pending=100)
    answers = [batcher.submit(request(n, n)) for n in range(1, 6)]
    closing = threading.Thread(target=batcher.close)
    closing.start()
    model.may_go_on.set()
    closing.join(PATIENCE)
    assert not closing.is_alive()
    with pytest.raises(RuntimeError, match="closed"):
        batcher.submit(request(1))
    assert [answer.result(0) for answer in answers] == [[2 * n, 2 * n] for n in range(1, 6)]
