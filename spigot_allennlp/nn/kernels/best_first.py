import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def insert(worth: np.ndarray, pending: np.ndarray, count: int, new_worth: float, record: int, option: int) -> int:
    """
    Adds the choice of an `option` at a `record` to those that are `pending`, `(capacity, 2)`, of which the first
    `count` are there, in the rising order of their `worth`. The worst one leaves where there is no room. Returns how
    many there are.
    """
    if count == len(worth):
        if new_worth <= worth[0]:
            return count
        place = 0
        while place + 1 < count and worth[place + 1] < new_worth:
            worth[place] = worth[place + 1]
            pending[place] = pending[place + 1]
            place += 1
    else:
        place = count
        count += 1
        while place > 0 and worth[place - 1] >= new_worth:
            worth[place] = worth[place - 1]
            pending[place] = pending[place - 1]
            place -= 1
    worth[place] = new_worth
    pending[place, 0] = record
    pending[place, 1] = option
    return count
