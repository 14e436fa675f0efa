from dataclasses import dataclass, field

from spigot_allennlp.checks import positive


class QueryError(Exception):
    """What a client asked is not of the form that is expected, or is too much; the message says why."""


def check_limit(what: str, found: int, limit: int) -> None:
    """Raises a `QueryError` where more is found than is taken on."""
    if found > limit:
        raise QueryError(f"expected at most {limit} {what}, found {found}")


def _limit(default: float, meaning: str):
    return field(default=default, metadata={"help": meaning})


@dataclass(frozen=True)
class Limits:
    """
    What a server takes on. Each field is an option of `allennlp spigot-serve`, and its help is the field's meaning.

    # Raises

    `ConfigurationError`, if a limit is not positive and finite.
    """

    max_body_bytes: int = _limit(131_072, "size of a request's body")
    max_characters: int = _limit(10_000, "characters of raw text in a request, which are counted before it is tagged")
    max_characters_per_word: int = _limit(500, "characters without a space in raw text; spaCy is slow on very many")
    max_sentences: int = _limit(100, "sentences in a request")
    max_tokens: int = _limit(2_000, "tokens in a request")
    max_tokens_per_sentence: int = _limit(200, "tokens in a sentence")
    max_pending: int = _limit(256, "requests that wait or are worked on; one more is told to come back later")
    max_pending_tokens: int = _limit(20_000, "tokens of such requests; one that has more is told to come back later")
    max_batch_tokens: int = _limit(256, "tokens, of whichever requests, that are predicted together")
    max_connections: int = _limit(1_000, "open connections; for one more, that which has been idle longest is closed")
    max_sentences_per_process: int = _limit(30_000, "sentences that a process predicts until another one takes over")
    timeout: float = _limit(10.0, "seconds until a request that is not answered is given up")
    process_timeout: float = _limit(60.0, "seconds until a process that does not answer is given up")
    idle_timeout: float = _limit(20.0, "seconds until a connection is closed on which the head of no request came")
    start_timeout: float = _limit(600.0, "seconds until a process that has not loaded the model is given up")

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            positive(name, value)
