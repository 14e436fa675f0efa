"""What the page asks for beside predictions."""

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from xml.etree import ElementTree

import httpx
import pytest

from spigot_allennlp.data.conversion import recognize
from spigot_allennlp.drawing import draw
from tests import FIXTURES_ROOT, PATIENCE
from tests.server.echo import EchoPredictor
from tests.server.serving import serving

_page = pytest.importorskip("spigot_allennlp.server._page", reason="needs the extra `serve`")

TREE = {"heads": [2, 0], "weights": [0.5, 1.0]}
GRAPH = {"arcs": [[2, 1, "ARG0"]], "marked": [2]}


@pytest.fixture(scope="module")
def client():
    description = {"archive": "a"}
    limits = {"max_tokens_per_sentence": 5, "max_body_bytes": 5000}
    with (
        serving(EchoPredictor(), EchoPredictor(), description=description, **limits) as url,
        httpx.Client(base_url=url, timeout=PATIENCE) as client,
    ):
        yield client


class TestDraw:
    def test_a_picture(self, client):
        response = client.post("/draw", json={"tokens": ["a", "b"], "above": TREE, "below": GRAPH, "max_width": 300})
        assert response.headers["content-type"] == "image/svg+xml"
        sides = [
            one.get("data-side") for one in ElementTree.fromstring(response.content).iter() if one.get("data-side")
        ]
        assert sides == ["above", "below"]

    @pytest.mark.parametrize(
        "drawing, message",
        [
            ({}, "tokens: Field required"),
            ({"tokens": ["a"] * 6}, "expected at most 5 tokens in a sentence, found 6"),
            ({"tokens": ["a" * 501]}, "expected at most 500 characters in a word, found 501"),
            (
                {"tokens": ["a", "b"], "above": {**GRAPH, "arcs": [[1, 2, ""]] * 1001}},
                "expected at most 5000 bytes in the body",
            ),
            ({"tokens": ["a", "b"], "above": {**GRAPH, "arcs": [[1, 3, "x"]]}}, "positions from 1 to 2, found 3"),
            ({"tokens": ["a", "b"], "above": {**TREE, "heads": [0]}}, "of one length"),
            ({"tokens": ["a"], "above": {"tree": 1}}, "above"),
            ({"tokens": ["a"], "emphasis": [2]}, "emphasis.0: Input should be less than or equal to 1"),
            ({"tokens": ["a"], "max_width": 1}, "max_width: Input should be greater than or equal to 200"),
        ],
    )
    def test_what_cannot_be_drawn_is_refused_in_words(self, client, drawing, message):
        response = client.post("/draw", json=drawing)
        assert response.status_code == (413 if "bytes" in message else 422)
        assert message in response.json()["error"]

    def test_more_arcs_than_anyone_could_look_at_are_refused(self):
        with serving(EchoPredictor()) as url:
            drawing = {"tokens": ["a", "b"], "above": {"arcs": [[1, 2, ""]] * 1001}}
            response = httpx.post(f"{url}/draw", json=drawing, timeout=PATIENCE)
        assert response.json()["error"] == "expected at most 1000 arcs in a picture, found 1001"

    def test_half_of_a_surrogate_pair_is_refused(self, client):
        response = client.post("/draw", content=b'{"tokens": ["\\ud800"]}')
        assert response.status_code == 422 and "hex escape" in response.json()["error"]

    def test_what_xml_cannot_hold_is_replaced(self, client):
        drawing = {
            "tokens": ["a"],
            "above": {"arcs": [], "marked": [1], "mark": "\x01", "gold_arcs": [], "gold_marked": [1]},
            "meanings": ["\x02", "b", "c"],
        }
        picture = ElementTree.fromstring(client.post("/draw", json=drawing).content)
        assert sum(element.text == "\ufffd" for element in picture.iter()) == 2


class TestConvert:
    CONTENT = json.dumps({"tokens": ["a", "b"], "tags": ["X", "Y"], "lemmas": ["a", "b"], "heads": [2, 0]})

    def test_to_a_format_and_back(self, client):
        conllu = client.post("/convert", params={"to": "conllu"}, content=self.CONTENT).text
        assert conllu.startswith("1\ta\ta\t_\tX\t_\t2\t")
        back = client.post("/convert", params={"to": "json"}, content=conllu).json()
        assert (back["tokens"], back["heads"]) == (["a", "b"], [2, 0])

    @pytest.mark.parametrize("file", ["toy/toy.sdp", "toy/toy_augmented.sdp"])
    def test_sdp_is_recognized(self, file):
        text = (FIXTURES_ROOT / file).read_bytes()
        assert recognize(text) == "sdp"
        assert recognize(text.removeprefix(b"#SDP 2015\n")) == "sdp"

    def test_the_others_are_recognized(self):
        assert recognize((FIXTURES_ROOT / "toy" / "toy.conllu").read_bytes()) == "conllu"
        assert recognize(b'\n{"tokens": []}') == "json"
        assert recognize(b"1\ta\n") == recognize(b"") == "conllu"

    @pytest.mark.parametrize(
        "params, content, message",
        [
            ({"to": "json"}, "1\ta\n", "the text, line 1: expected 10 columns, found 2"),
            ({"to": "pdf"}, "", "query.to: "),
            ({"to": "sdp", "source": "json"}, '{"tokens": []}', "the text, line 1: expected an object with a list"),
            ({"to": "json"}, "a" * 6000, "expected at most 5000 bytes in the body, found more"),
        ],
    )
    def test_what_is_wrong_is_told(self, client, params, content, message):
        response = client.post("/convert", params=params, content=content)
        assert response.status_code == (413 if "bytes" in message else 422)
        assert message in response.json()["error"]


@pytest.mark.parametrize("path", ["/draw", "/convert?to=json"])
class TestTooMuch:
    def test_a_body_that_does_not_come_is_given_up(self, path):
        with serving(EchoPredictor(), timeout=0.3, idle_timeout=0.3, max_connections=1) as url:
            address = httpx.URL(url)
            with socket.create_connection((address.host, address.port), timeout=PATIENCE) as connection:
                connection.sendall(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{{".encode())
                received = connection.makefile("rb").read()  # until it is closed
            assert received.startswith(b"HTTP/1.1 504 ") and b"took too long" in received
            assert httpx.get(f"{url}/health", timeout=PATIENCE).status_code == 200

    def test_of_too_many_at_once_the_last_are_told_to_come_back(self, path, monkeypatch):
        may_go_on = threading.Event()

        def slow(function):
            return lambda *args: may_go_on.wait(PATIENCE) and function(*args)

        monkeypatch.setattr(_page, "draw", slow(draw))
        monkeypatch.setattr(_page, "recognize", slow(recognize))
        with serving(EchoPredictor(), max_pending=1) as url, ThreadPoolExecutor(4) as threads:
            body = {"tokens": ["a"]} if path == "/draw" else {**json.loads(TestConvert.CONTENT)}
            responses = [threads.submit(httpx.post, f"{url}{path}", json=body, timeout=PATIENCE) for _ in range(4)]
            done = as_completed(responses, PATIENCE)
            for _ in range(2):  # while one is worked on, and one waits
                refused = next(done).result()
                assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
            may_go_on.set()
            assert [next(done).result().status_code for _ in range(2)] == [200, 200]


class TestSeveralArchives:
    def test_each_has_its_own_address(self, client):
        assert client.get("/model").json() == {"archive": "a", "others": ["archives/2/"], "timeout": PATIENCE}
        assert client.get("/archives/2/model").json() == {"timeout": PATIENCE}
        response = client.post("/archives/2/predict", json={"sentence": "a"}, headers={"X-Request-ID": "mine"})
        assert response.json()["tokens"] == ["a"] and response.headers.get_list("X-Request-ID") == ["mine"]
        response = client.post("/archives/2/predict", json={"sentence": "fail"}, headers={"X-Request-ID": "bad"})
        assert response.status_code == 500 and response.json() == {"error": "internal error", "request_id": "bad"}
        assert client.get("/archives/3/model").status_code == 404

    def test_a_request_is_counted_once(self, client):
        before = count(client)
        client.post("/archives/2/predict", json={"sentence": "a"})
        assert count(client) == before + 1


def count(client):
    lines = client.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith('spigot_requests_total{path="/predict"'))
