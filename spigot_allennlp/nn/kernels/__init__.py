"""
Sequential algorithms over numpy arrays, compiled by numba at their first call (and cached on disk). They are imported
where they are called, so that whoever does not call them does not wait for numba.

A kernel returns one of these statuses, and the index of the sentence it is about.
"""

OK, NOT_A_SCORE, NO_STRUCTURE, OUT_OF_RANGE, TOO_LARGE = range(5)

# Sums over structures take scores up to this; see [`check_totals`](../errors.md#check_totals).
LARGEST_SCORE = 1e9
# They count scores from here on down as -inf.
FORBIDDEN = -1e30
