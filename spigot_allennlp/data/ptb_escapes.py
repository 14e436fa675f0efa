"""What the Penn Treebank, and corpora in its manner, write for brackets, slashes and asterisks."""

import re

_BRACKETS = {"-lrb-": "(", "-rrb-": ")", "-lsb-": "[", "-rsb-": "]", "-lcb-": "{", "-rcb-": "}"}
_BACKSLASH = re.compile(r"\\([/*])")


def unescape(token: str) -> str:
    """The token itself: `(` for `-LRB-` or `-lrb-`, and so on for all brackets; `/` for `\\/` and `*` for `\\*`."""
    return _BRACKETS.get(token.lower()) or _BACKSLASH.sub(r"\1", token)


def unescape_text(text: str) -> str:
    """Raw text, in which words that stand between spaces are unescaped."""
    return re.sub(r"\S+", lambda match: unescape(match.group()), text)
