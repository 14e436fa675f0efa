"""
Shapes in annotations: `Float[Tensor, "batch length"]`. While the tests run,
[jaxtyping](https://docs.kidger.site/jaxtyping) checks them; elsewhere it is not needed, and they are plain tensors.
"""

from typing import Any

from torch import Tensor as Tensor

try:
    from jaxtyping import Bool as Bool
    from jaxtyping import Float as Float
    from jaxtyping import Int as Int
except ModuleNotFoundError:

    class _Unchecked:
        def __class_getitem__(cls, tensor_and_shape: tuple[Any, str]) -> Any:
            return tensor_and_shape[0]

    Bool = Float = Int = _Unchecked

Mask = Bool[Tensor, "batch length"]
"""True for ROOT, where there is one, and for tokens."""
Arcs = Float[Tensor, "batch length length"]
"""`[b, modifier, head]`."""
Totals = Float[Tensor, " batch"]
BestTotals = Float[Tensor, "k batch"]
Cells, AnyMask = Float[Tensor, "batch *cells"], Bool[Tensor, "batch ..."]
"""Of any structure."""
