import asyncio
import json
import logging
import socket
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from allennlp.common.checks import ConfigurationError
from pydantic import TypeAdapter

from benchmarks.malformed import MALFORMED, TOO_MUCH
from spigot_allennlp.server._schema import Answer
from tests import PATIENCE
from tests.server.echo import EchoPredictor
from tests.server.serving import Limits, LocalModel, create_app, serving, until_ready, wait_until

SENTENCE = {"tokens": ["a", "b"], "tags": ["X", "Y"], "lemmas": ["a", "b"]}
WARM_UP = 2  # batches


@pytest.fixture
def predictor():
    return EchoPredictor()


@pytest.fixture
def client(predictor):
    with serving(predictor) as url, httpx.Client(base_url=url, timeout=PATIENCE) as client:
        yield client


@pytest.fixture
def threads():
    with ThreadPoolExecutor(40) as pool:
        yield pool


def hold(predictor):
    """From now on the model waits."""
    for _ in predictor.batches:
        assert predictor.begun.acquire(timeout=PATIENCE)
    predictor.may_go_on.clear()


class TestPredict:
    def test_an_object_has_the_predictors_answer(self, client, predictor):
        response = client.post("/predict", json=SENTENCE)
        assert response.status_code == 200
        assert response.json() == predictor.predict_json(SENTENCE)

    def test_raw_text_has_a_list_of_sentences(self, client):
        answer = client.post("/predict", json={"text": "a b. c"}).json()
        assert [output["tokens"] for output in answer["sentences"]] == [["a", "b"], ["c"]]

    def test_a_batch_has_a_list_of_answers_in_order(self, client):
        response = client.post("/predict_batch", json=[{"sentence": "a"}, {"text": "b. c"}, SENTENCE])
        first, second, third = response.json()
        assert (first["tokens"], len(second["sentences"]), third["tokens"]) == (["a"], 2, ["a", "b"])

    @pytest.mark.parametrize("path", ["/predict", "/predict_batch"])
    def test_pictures_come_when_they_are_wanted(self, client, path):
        body = SENTENCE if path == "/predict" else [SENTENCE]
        answer = client.post(path, json=body, params={"pictures": True}).json()
        output = answer if path == "/predict" else answer[0]
        assert output["pictures"]["tree"].startswith("<svg") and "ARG0" in output["pictures"]["graph"]
        assert "pictures" not in json.dumps(client.post(path, json=body).json())

    def test_concurrent_requests_share_batches_and_keep_their_answers(self, client, predictor, threads):
        hold(predictor)
        first = threads.submit(client.post, "/predict", json={"sentence": "first"})
        assert predictor.begun.acquire(timeout=PATIENCE)
        others = [threads.submit(client.post, "/predict", json={"sentence": f"w{n}"}) for n in range(30)]
        wait_until_pending(client, 31)
        predictor.may_go_on.set()
        assert first.result().json()["tokens"] == ["first"]
        assert [other.result().json()["tokens"] for other in others] == [[f"w{n}"] for n in range(30)]
        assert len(predictor.batches) == WARM_UP + 2

    def test_health_answers_while_the_model_is_busy(self, client, predictor, threads):
        hold(predictor)
        answer = threads.submit(client.post, "/predict", json=SENTENCE)
        assert predictor.begun.acquire(timeout=PATIENCE)
        assert client.get("/health").json() == {"status": "ok"}
        assert not answer.done()
        predictor.may_go_on.set()
        assert answer.result().status_code == 200


class TestErrors:
    def test_malformed_bodies_have_a_reason(self, client):
        assert len(set(MALFORMED)) == len(MALFORMED) >= 60
        for malformed in MALFORMED + TOO_MUCH:
            response = client.post(malformed.path, content=malformed.body)
            assert response.status_code in (413, 422), malformed
            error = response.json()
            assert error.keys() == {"error", "request_id"}
            assert "expected" in error["error"] or "must" in error["error"]
            assert not any(word in error["error"] for word in ("None", "True", "False", "NoneType", "dict"))

    def test_a_batch_has_the_index_of_the_object_that_is_wrong(self, client):
        response = client.post("/predict_batch", json=[SENTENCE, SENTENCE, {**SENTENCE, "tags": None}])
        assert response.status_code == 422
        assert response.json()["error"].startswith("at index 2: 'tags' must be a list of strings")

    @pytest.mark.parametrize("announced", [True, False])
    def test_a_body_that_is_too_large_is_not_read_on(self, predictor, announced):
        with serving(predictor, max_body_bytes=1000) as url:
            body = json.dumps({"sentence": "a", "comment": "b" * 2000}).encode()
            response = httpx.post(f"{url}/predict", content=body if announced else iter([body[:900], body[900:]]))
            assert response.status_code == 413
            assert response.json()["error"] == "expected at most 1000 bytes in the body, found more"

    @pytest.mark.parametrize("limits", [{"max_pending": 2}, {"max_pending_tokens": 5}])
    def test_a_full_queue_says_when_to_come_back(self, predictor, threads, limits):
        with serving(predictor, **limits) as url, httpx.Client(base_url=url, timeout=PATIENCE) as client:
            hold(predictor)
            accepted = []
            for _ in range(2):
                accepted.append(threads.submit(client.post, "/predict", json=SENTENCE))
            wait_until_pending(client, 2)
            refused = client.post("/predict", json=SENTENCE)
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
            assert client.get("/health").status_code == 200
            predictor.may_go_on.set()
            assert [answer.result().status_code for answer in accepted] == [200, 200]
            assert client.post("/predict", json=SENTENCE).status_code == 200

    def test_what_takes_too_long_is_given_up_and_not_begun_later(self, predictor, threads):
        with serving(predictor, timeout=0.3) as url, httpx.Client(base_url=url, timeout=PATIENCE) as client:
            hold(predictor)
            responses = [threads.submit(client.post, "/predict", json={"sentence": word}) for word in "ab"]
            assert [response.result().status_code for response in responses] == [504, 504]
            begun = len(predictor.batches)
            predictor.may_go_on.set()
            # Too slow for a busy machine, at first.
            wait_until(lambda: client.post("/predict", json={"sentence": "c"}).status_code == 200)
            assert all(batch == ["c"] for batch in predictor.batches[begun:])

    def test_a_body_that_does_not_come_is_given_up(self, predictor):
        with serving(predictor, timeout=0.3) as url:
            address = httpx.URL(url)
            with socket.create_connection((address.host, address.port), timeout=PATIENCE) as connection:
                connection.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{")
                assert connection.makefile("rb").readline().startswith(b"HTTP/1.1 504 ")

    def test_the_models_errors_stay_in_the_log(self, client, caplog):
        response = client.post("/predict", json={"sentence": "fail"}, headers={"X-Request-ID": "number-7"})
        assert response.status_code == 500
        assert response.json() == {"error": "internal error", "request_id": "number-7"}
        assert "a secret of the model" in caplog.text and "request number-7 failed" in caplog.text

    def test_one_sentence_that_fails_is_not_the_others_failure(self, client, predictor, threads):
        hold(predictor)
        answers = [threads.submit(client.post, "/predict", json={"sentence": w}) for w in ("a", "fail", "b", "c")]
        wait_until_pending(client, 4)
        predictor.may_go_on.set()
        assert [answer.result().status_code for answer in answers] == [200, 500, 200, 200]

    def test_a_sentence_that_the_model_refuses_is_the_clients_fault_alone(self, client, predictor, threads):
        hold(predictor)
        objects = [{"sentence": "a"}, {"text": "b. c. d-refuse. e"}, {"sentence": "f"}]
        answers = [threads.submit(client.post, "/predict", json=json_dict) for json_dict in objects]
        batch = threads.submit(client.post, "/predict_batch", json=objects)
        wait_until_pending(client, 4)
        predictor.may_go_on.set()
        assert [answer.result().status_code for answer in answers] == [200, 422, 200]
        assert answers[1].result().json()["error"] == "expected another sentence"
        assert batch.result().status_code == 422
        assert batch.result().json()["error"] == "at index 1: expected another sentence"

    def test_raw_text_without_a_tagger_says_what_to_install(self, client, predictor, monkeypatch):
        def sentence(text, max_tokens):
            raise ConfigurationError("install a pipeline")

        monkeypatch.setattr(predictor.tagger, "sentence", sentence)
        response = client.post("/predict", json={"sentence": "a"})
        assert (response.status_code, response.json()["error"]) == (501, "install a pipeline")

    @pytest.mark.parametrize(
        "method, path, status",
        [("GET", "/nothing", 404), ("GET", "/predict", 405), ("POST", "/predict?pictures=perhaps", 422)],
    )
    def test_other_mistakes_look_alike(self, client, method, path, status):
        response = client.request(method, path, json=SENTENCE)
        assert response.status_code == status
        assert response.json().keys() == {"error", "request_id"}


class SlowModel(LocalModel):
    """Starts only when the predictor may go on."""

    async def start(self):
        await asyncio.to_thread(self._answerer._predictor.may_go_on.wait, PATIENCE)
        await super().start()


class TestStarting:
    def test_it_answers_at_once_and_is_ready_when_the_model_is(self, predictor):
        predictor.may_go_on.clear()
        with serving(predictor, make_model=SlowModel, wait_until_ready=False) as url:
            assert httpx.get(f"{url}/health").json() == {"status": "ok"}
            for method, path in (("GET", "/ready"), ("POST", "/predict"), ("POST", "/predict_batch")):
                body = [SENTENCE] if path == "/predict_batch" else SENTENCE
                response = httpx.request(method, f"{url}{path}", json=body)
                assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
                assert response.json()["error"] == "the model is being loaded, come back later"
            predictor.may_go_on.set()
            until_ready(url)
            assert httpx.get(f"{url}/ready").json() == {"status": "ready"}
            assert httpx.post(f"{url}/predict", json=SENTENCE).status_code == 200

    def test_what_loading_the_model_raises_is_told(self):
        class BrokenModel(LocalModel):
            async def start(self):
                raise OSError("no memory")

        errors = []
        told = asyncio.Event()

        async def start():
            app = create_app(lambda: BrokenModel(EchoPredictor(), Limits()), on_failure=tell)
            async with app.router.lifespan_context(app):
                await asyncio.wait_for(told.wait(), PATIENCE)

        def tell(error):
            errors.append(str(error))
            told.set()

        asyncio.run(start())
        assert errors == ["no memory"]

    def test_stopping_finishes_what_was_accepted(self, predictor, threads):
        with serving(predictor) as url:
            hold(predictor)
            answer = threads.submit(httpx.post, f"{url}/predict", json=SENTENCE)
            assert predictor.begun.acquire(timeout=PATIENCE)
            threads.submit(predictor.may_go_on.wait, 0.5).add_done_callback(lambda _: predictor.may_go_on.set())
        assert answer.result().json()["tokens"] == ["a", "b"]


class TestClientsThatGo:
    def test_what_they_asked_is_not_begun(self, client, predictor, threads, caplog):
        caplog.set_level(logging.INFO, logger="spigot_allennlp.server._access_log")
        hold(predictor)
        first = threads.submit(client.post, "/predict", json={"sentence": "first"})
        assert predictor.begun.acquire(timeout=PATIENCE)
        body = json.dumps({"sentence": "gone"}).encode()
        head = f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        connections = [socket.create_connection((client.base_url.host, client.base_url.port)) for _ in range(5)]
        for connection in connections:
            connection.sendall(head + body)
        wait_until_pending(client, 6)
        for connection in connections:
            connection.close()
        wait_until_pending(client, 1, at_most=1)
        predictor.may_go_on.set()
        assert first.result().status_code == 200
        assert client.post("/predict", json={"sentence": "last"}).status_code == 200
        assert predictor.batches[WARM_UP:] == [["first"], ["last"]]

        def statuses():
            logged = [json.loads(record.message) for record in caplog.records if record.name.endswith("access_log")]
            return [entry["status"] for entry in logged if entry["path"] == "/predict"]

        wait_until(lambda: len(statuses()) >= 7)  # a request is logged when it has been answered
        assert sorted(statuses()) == [200, 200] + [499] * 5


class TestObservation:
    def test_the_access_log_has_an_object_for_each_request(self, predictor, caplog):
        caplog.set_level(logging.INFO, logger="spigot_allennlp.server._access_log")
        with serving(predictor) as url, httpx.Client(base_url=url) as client:
            ids = [client.post("/predict", json=SENTENCE).headers["X-Request-ID"]]
            ids.append(client.get("/no%0Athing", headers={"X-Request-ID": 'no" good'}).headers["X-Request-ID"])
            ids.append(client.get("/health", headers={"X-Request-ID": "mine"}).headers["X-Request-ID"])
        records = [json.loads(record.message) for record in caplog.records if record.name.endswith("access_log")]
        records = [record for record in records if record["path"] != "/ready"]
        assert [(r["method"], r["path"], r["status"]) for r in records] == [
            ("POST", "/predict", 200),
            ("GET", "/no\nthing", 404),
            ("GET", "/health", 200),
        ]
        assert [record["request_id"] for record in records] == ids
        assert ids[2] == "mine" and ids[1] != 'no" good' and len(set(ids)) == 3

    def test_metrics_count_requests_and_batches(self, client):
        client.post("/predict", json=SENTENCE)
        client.post("/predict", json={"words": ["a"]})
        client.get("/nothing")
        assert metric(client, 'spigot_requests_total{path="/predict",status="200"}') == "1.0"
        assert metric(client, 'spigot_requests_total{path="/predict",status="422"}') == "1.0"
        assert metric(client, 'spigot_requests_total{path="other",status="404"}') == "1.0"
        assert metric(client, "spigot_batch_objects_sum") == "2.0"
        assert metric(client, "spigot_models_ready") == "1.0"

    def test_head_is_answered_where_get_is(self, client):
        for path in ("/", "/health", "/ready", "/metrics", "/docs", "/openapi.json", "/static/page.js"):
            got, response = client.get(path), client.head(path)
            assert (response.status_code, response.content) == (200, b""), path
            assert response.headers["Content-Type"] == got.headers["Content-Type"]
        response = client.head("/predict")
        assert (response.status_code, response.headers["Allow"]) == (405, "POST")
        assert metric(client, 'spigot_requests_total{path="/health",status="200"}') == "2.0"


class TestPages:
    def test_nothing_comes_from_elsewhere(self, client):
        for path in ("/", "/docs", "/static/page.css", "/static/page.js"):
            response = client.get(path)
            assert response.status_code == 200
            assert "//" not in response.text.replace("/** ", "").replace("// ", ""), path
        assert client.get("/").headers["Content-Security-Policy"].startswith("default-src 'self'")

    def test_the_interface_is_described(self, client):
        paths = client.get("/openapi.json").json()["paths"]
        assert paths.keys() == {"/predict", "/predict_batch", "/health", "/ready"}
        body = paths["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        forms = {tuple(form["required"]): form["properties"].keys() for form in body["anyOf"]}
        assert forms[("premise", "hypothesis")] == {"premise", "hypothesis", "id"}
        assert all("explain" in forms[(form,)] for form in ("sentence", "text", "tokens"))
        for path in ("/predict", "/predict_batch"):
            operation = paths[path]["post"]
            assert operation["responses"].keys() == {"200", "413", "422", "500", "501", "503", "504"}
            kind = TypeAdapter(Answer if path == "/predict" else list[Answer])
            for example in operation["requestBody"]["content"]["application/json"]["examples"].values():
                response = client.post(path, json=example["value"], params={"pictures": True})
                assert response.status_code == 200
                kind.validate_json(response.content, strict=True)


def metric(client, name):
    lines = client.get("/metrics").text.splitlines()
    return next(line.rpartition(" ")[2] for line in lines if line.startswith(name + " "))


def wait_until_pending(client, at_least, at_most=1000):
    wait_until(lambda: at_least <= float(metric(client, "spigot_requests_pending")) <= at_most)
