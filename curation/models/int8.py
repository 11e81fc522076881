"""Linear layers in 8 bits on a CPU: weights rounded once, a channel at a time, inputs as they come, a row at a time.

The usual dynamic quantisation has one scale for a whole batch, so that a row depends on its neighbours, and leaves the
projections of attention as they are. Here each row (a token of one picture) has its own scale, and sums of whole
numbers are exact: a value depends on its own row alone.
"""

from collections.abc import Callable
from typing import Any

INPUT_LEVELS = 127  # of a signed byte
# Seven bits: on processors without VNNI pairs of products are summed in 16 bits, where 2 * 255 * 63 still fits.
WEIGHT_LEVELS = 63


def quantise(model: Any) -> Any:
    """The model with all its linear layers, those inside nn.MultiheadAttention too, computed in 8 bits; in place."""
    import torch

    inside = set()
    for module in model.modules():
        if isinstance(module, torch.nn.MultiheadAttention) and module.in_proj_weight is not None and module.batch_first:
            module.forward = _attention(module)
            inside.add(module.out_proj)
    for module in model.modules():
        if isinstance(module, torch.nn.Linear) and module not in inside:
            module.forward = _linear(module.weight, module.bias)
    return model


def _linear(weight: Any, bias: Any) -> Callable:
    import torch

    steps = weight.detach().abs().amax(dim=1).clamp(min=torch.finfo(torch.float32).tiny) / WEIGHT_LEVELS
    rounded = (weight.detach() / steps[:, None]).round().to(torch.int8).t().contiguous()

    def forward(x: Any) -> Any:
        rows = x.reshape(-1, x.shape[-1])
        scales = rows.abs().amax(dim=1, keepdim=True).clamp(min=1e-20) / INPUT_LEVELS  # 1e-20: a row of zeros stays one
        sums = torch._int_mm((rows / scales).round_().to(torch.int8), rounded)
        found = sums.to(torch.float32).mul_(scales).mul_(steps)
        return (found if bias is None else found.add_(bias)).reshape(*x.shape[:-1], -1)

    return forward


def _attention(module: Any) -> Callable:
    """Self-attention with its two projections in 8 bits, the products between tokens in 32."""
    import torch

    project, out = _linear(module.in_proj_weight, module.in_proj_bias), _linear(*module.out_proj.parameters())
    exact = module.forward

    def forward(
        query: Any, key: Any, value: Any, need_weights: bool = False, attn_mask: Any = None
    ) -> tuple[Any, None]:
        if query is not key or key is not value:  # another model's cross-attention
            return exact(query, key, value, need_weights=need_weights, attn_mask=attn_mask)
        rows, length, width = query.shape
        heads = project(query).reshape(rows, length, 3, module.num_heads, width // module.num_heads)
        each = heads.permute(2, 0, 3, 1, 4).unbind(0)
        found = torch.nn.functional.scaled_dot_product_attention(*each, attn_mask=attn_mask)
        return out(found.transpose(1, 2).reshape(rows, length, width)), None

    return forward
