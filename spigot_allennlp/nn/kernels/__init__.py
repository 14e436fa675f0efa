"""
Sequential algorithms over numpy arrays, compiled by numba at their first call (and cached on disk). They are imported
where they are called, so that whoever does not call them does not wait for numba.

A kernel returns one of these statuses, and the index of the sentence it is about.
"""

OK, NOT_A_SCORE, NO_STRUCTURE, OUT_OF_RANGE = range(4)
