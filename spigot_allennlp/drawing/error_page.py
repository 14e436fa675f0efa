"""A page of sentences whose prediction differs from gold, which stands alone: nothing is loaded from elsewhere."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from spigot_allennlp.drawing.errors import KINDS, Error

STATIC = Path(__file__).parent / "static"
"""The styles and scripts of pictures."""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{styles}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p id="figures">{figures}</p>
{controls}
{sentences}
</main>
<script type="module">
{scripts}
</script>
</body>
</html>
"""
_CONTROLS = """<form id="controls">
<fieldset>
<legend>Errors</legend>
{kinds}
</fieldset>
<label>With the text <input type="search" id="text"></label>
<label>Sorted by <select id="order">
<option value="place">place in the file</option>
<option value="most">number of errors</option>
<option value="kind">kind of error, the most frequent first</option>
</select></label>
<p id="found" role="status"></p>
</form>"""


@dataclass
class Sentence:
    """
    # Parameters

    name : `str`
    pictures : `Sequence[str]`
        SVG documents.
    errors : `Sequence[Error]`
    failure : `str`, optional (default = `None`)
        Why there is no prediction.
    """

    name: str
    pictures: Sequence[str] = ()
    errors: Sequence[Error] = field(default_factory=list)
    failure: str | None = None


def write_error_page(
    title: str, sentences: Sequence[Sentence], counts: Counter[str], figures: Mapping[str, float]
) -> str:
    """
    The page as HTML.

    # Parameters

    title : `str`
    sentences : `Sequence[Sentence]`
        Those that are shown, in the order of the file.
    counts : `Counter[str]`
        How often each kind of error occurs in the whole file.
    figures : `Mapping[str, float]`
        Of the whole file, in [0, 1].
    """
    ordered = sorted((kind for kind in KINDS if counts[kind]), key=lambda kind: -counts[kind])
    boxes = [
        f'<label><input type="checkbox" value="{kind}" checked> {kind} <span>{counts[kind]}</span></label>'
        for kind in ordered
    ]
    return _PAGE.format(
        title=escape(title),
        styles="\n".join((STATIC / name).read_text(encoding="utf-8") for name in ("errors.css", "picture.css")),
        figures=", ".join(f"{name} {100 * value:.1f}" for name, value in figures.items()),
        controls=_CONTROLS.format(kinds="\n".join(boxes)) if boxes else "",
        sentences="\n".join(_write(sentence) for sentence in sentences),
        scripts="\n".join((STATIC / name).read_text(encoding="utf-8") for name in ("picture.js", "errors.js")),
    )


def _write(sentence: Sentence) -> str:
    if sentence.failure is not None:
        caption = escape(f"{sentence.name}: {sentence.failure}")
        return f"<figure>\n<figcaption>{caption}</figcaption>\n</figure>"
    items = "\n".join(
        f'<li data-kind="{error.kind}">{error.kind}: <bdi>{escape(error.text)}</bdi></li>' for error in sentence.errors
    )
    pictures = "\n".join(f'<div class="picture">{picture}</div>' for picture in sentence.pictures)
    return (
        f"<figure>\n<figcaption>{escape(sentence.name)}</figcaption>\n{pictures}\n<details>\n"
        f"<summary>Errors: {len(sentence.errors)}</summary>\n<ul>\n{items}\n</ul>\n</details>\n</figure>"
    )
