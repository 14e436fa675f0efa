import torch


def log_add(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """
    `log(exp(a) + exp(b))`. Unlike `torch.logaddexp`, its second derivative is not NaN where `a` and `b` are far apart.
    """
    return torch.stack((a, b)).logsumexp(0)
