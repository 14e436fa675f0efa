"""
Frames, the senses that the column `frame` of SDP gives to tokens: `want.01` in PropBank, `v:e-i-p` in DM.

A classifier does not see a frame, but its *label*: where the frame is the lemma and a number, a mark takes the place of
the lemma, so that `want.01` and `sing.01` are one label, which a lemma that training data does not have can get too.
"""

NO_FRAME = "_"

_LEMMA = "@@LEMMA@@"


def to_label(frame: str, lemma: str) -> str:
    """The label of a frame."""
    start = f"{lemma.lower()}."
    return f"{_LEMMA}.{frame[len(start) :]}" if frame.startswith(start) else frame


def to_frame(label: str, lemma: str) -> str:
    """The frame that a label stands for with a lemma."""
    return label.replace(_LEMMA, lemma.lower(), 1) if label.startswith(_LEMMA) else label
