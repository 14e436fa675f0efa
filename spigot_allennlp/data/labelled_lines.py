"""One labelled sentence, or pair of sentences, a line: objects in JSON, and tables of pairs."""

from typing import Any

from spigot_allennlp.data.format_error import first_of
from spigot_allennlp.data.json_line import parse_json
from spigot_allennlp.data.trees import find_tree_fault

Text = str | list[str]

_KEYS = ("label", "id", "sentence", "tokens", "tags", "lemmas", "heads", "latent_class", "premise", "hypothesis")


def parse_object(line: str) -> dict[str, Any]:
    """
    A line of a file of JSON objects, as what is known of a sentence:

    - `{"label": …, "sentence": "It works."}`, raw;
    - `{"label": …, "tokens": […]}`, perhaps with `tags`, `lemmas` and, for a gold tree, `heads` (1-based, 0 is ROOT);
    - `{"label": …, "premise": …, "hypothesis": …}`, each raw or a list of tokens.

    A label is a string or a whole number. All may have an `id`; and a `latent_class`, likewise a string or a whole
    number, where it is known what nobody tells a model.

    # Returns

    `dict[str, Any]`
        `label`, `sentence_id`, `text` or `tokens`, and what else the line has of `tags`, `lemmas`, `heads`,
        `latent_class` and `hypothesis`.

    # Raises

    `ValueError` that says what was expected.
    """
    content = parse_json(line)
    if not isinstance(content, dict):
        raise ValueError(f"expected a JSON object, found {first_of([content])}")
    if unknown := content.keys() - set(_KEYS):
        raise ValueError(f"expected keys among {', '.join(_KEYS)}, found {first_of(sorted(unknown))}")
    forms = [key for key in ("sentence", "tokens", "premise") if key in content]
    if len(forms) != 1 or ("premise" in content) != ("hypothesis" in content):
        raise ValueError("expected a sentence, or tokens, or a premise and a hypothesis")
    found = {
        "label": _class(content.get("label"), "label"),
        "sentence_id": None if content.get("id") is None else str(content["id"]),
    }
    if content.get("latent_class") is not None:
        found["latent_class"] = _class(content["latent_class"], "latent_class")
    columns = {key: content[key] for key in ("tokens", "tags", "lemmas", "heads") if key in content}
    if "tokens" not in columns:
        if columns:
            raise ValueError(f"expected tokens beside {first_of(columns)}, found none")
        text = _text(content[forms[0]], forms[0], tokens_too=forms[0] == "premise")
        found["text" if isinstance(text, str) else "tokens"] = text
        return found | ({"hypothesis": _text(content["hypothesis"], "hypothesis")} if "premise" in content else {})
    for key in columns.keys() - {"heads"}:
        _tokens(columns[key], key)
    sizes = {key: len(column) if isinstance(column, list) else 0 for key, column in columns.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"expected lists of one length, found {first_of([f'{n} {key}' for key, n in sizes.items()])}")
    if "heads" in columns:
        heads = columns["heads"]
        if not all(isinstance(head, int) for head in heads):
            raise ValueError("expected heads that are whole numbers")
        if fault := find_tree_fault(heads):
            raise ValueError(f"token {fault[0]}: {fault[1]}")
    return found | columns


def parse_pair(line: str) -> dict[str, Any] | None:
    """
    A line `label<TAB>premise<TAB>hypothesis`, as `parse_object` gives it, or `None` for these names of the columns.
    Raises a `ValueError` for anything else.
    """
    cells = [cell.strip() for cell in line.split("\t")]
    names = [cell.lower() for cell in cells]
    if names == ["label", "premise", "hypothesis"]:
        return None
    if "label" in names and set(names) & {"premise", "sentence1"}:
        raise ValueError(f"expected a label, a premise and a hypothesis, in this order, found {first_of(cells)}")
    if len(cells) != 3 or not all(cells):
        raise ValueError(f"expected a label, a premise and a hypothesis with tabs between, found {first_of(cells)}")
    return {"label": cells[0], "text": cells[1], "hypothesis": cells[2]}


def _class(value: Any, key: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise ValueError(f"expected a {key}, a string or a whole number, found {first_of([value])}")
    return str(value)


def _text(value: Any, key: str, tokens_too: bool = True) -> Text:
    if isinstance(value, list) and tokens_too:
        return _tokens(value, key)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"expected {key} to be a text that is not empty, found {first_of([value])}")
    return value


def _tokens(value: Any, key: str) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(one, str) and one for one in value):
        raise ValueError(f"expected {key} to be a list of strings that are not empty, found {first_of([value])}")
    return value
