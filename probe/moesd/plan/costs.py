"""Operations and activation memory of one image in a denoiser, from meta tensors."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from probe.moesd.unet_experts import RoutedUNet, UNetExperts

_CHECKPOINTED = (
    *("ResnetBlock2D", "BasicTransformerBlock", "JointTransformerBlock", "FluxTransformerBlock"),
    *("FluxSingleTransformerBlock", "SanaTransformerBlock"),
)
"""Modules that diffusers recomputes with gradient checkpointing."""


@dataclass(frozen=True)
class Costs:
    """Of one image in one step."""

    forward_flops: int
    backward_flops: int
    activation_bytes: int
    """Tensors saved for the gradient, at four bytes a number."""
    checkpointed_bytes: int
    """With checkpointing: the inputs of the blocks, and all tensors of the largest block."""


def measure_decoding(model: Any, size: int) -> Costs:
    """Count the decoding of an image of ``size`` pixels, with the gradient to its latents."""
    vae, scale = model.pipeline.vae, model.pipeline.vae_scale_factor
    latents = torch.empty(1, vae.config.latent_channels, size // scale, size // scale)
    return _measured(vae, None, vae.decode, latents.to("meta").requires_grad_(True))


def measure_costs(denoiser: Any, experts: UNetExperts | None, *args: Any, **kwargs: Any) -> Costs:
    """Count one forward and one backward pass on the meta device, of these arguments.

    Operations are those of matrix products, convolutions and attention, two per multiply-add.
    Attention is assumed to be fused: it saves its inputs and its output. The backward pass stops
    where nothing earlier is trained. Without experts the gradient goes to the text states.
    """
    args, kwargs = tree_map(
        lambda of: of.to("meta") if isinstance(of, torch.Tensor) else of, (args, kwargs)
    )
    kwargs["encoder_hidden_states"].requires_grad_(True)
    return _measured(denoiser, experts, denoiser, *args, **kwargs)


def _measured(
    network: Any, experts: UNetExperts | None, call: Callable[..., Any], *args: Any, **kwargs: Any
) -> Costs:
    from torch.utils.flop_counter import FlopCounterMode

    saved = _SavedTensors(network, experts)
    with ExitStack() as stack:
        if experts is not None:
            stack.enter_context(RoutedUNet(network, experts)).set_routes([experts.names[-1]])
        counter = stack.enter_context(FlopCounterMode(display=False))
        stack.enter_context(_FusedAttention())
        with saved.watching():
            predicted = call(*args, **{**kwargs, "return_dict": False})[0]
        forward = counter.get_total_flops()
        predicted.sum().backward()
        backward = counter.get_total_flops() - forward
    return Costs(forward, backward, saved.n_bytes, saved.n_bytes_checkpointed)


class _SavedTensors:
    """Bytes that autograd saves, each storage once, by the block that could be checkpointed."""

    def __init__(self, unet: Any, experts: UNetExperts | None) -> None:
        self._blocks = [m for m in unet.modules() if type(m).__name__ in _CHECKPOINTED]
        modules = [unet] if experts is None else [unet, experts]
        self._weights = {_storage(w) for module in modules for w in module.parameters()}
        self._alive: list[torch.Tensor] = []  # the name of a freed storage could be reused
        self._seen: set[int] = set()
        self._by_block: dict[int | None, int] = defaultdict(int)
        self._inputs = 0
        self._inside: int | None = None

    @property
    def n_bytes(self) -> int:
        return sum(self._by_block.values())

    @property
    def n_bytes_checkpointed(self) -> int:
        within = [n for block, n in self._by_block.items() if block is not None]
        return self._by_block[None] + self._inputs + max(within, default=0)

    @contextmanager
    def watching(self) -> Iterator[None]:
        handles = []
        for number, block in enumerate(self._blocks):
            handles.append(block.register_forward_pre_hook(self._enter(number), with_kwargs=True))
            handles.append(block.register_forward_hook(self._leave))
        try:
            with torch.autograd.graph.saved_tensors_hooks(self._keep, lambda kept: kept):
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, number: int) -> Callable[[Any, Any, Any], None]:
        def enter(module: Any, args: tuple[torch.Tensor, ...], kwargs: dict[str, Any]) -> None:
            self._inside = number
            states = args[0] if args else kwargs["hidden_states"]
            self._inputs += states.untyped_storage().nbytes()

        return enter

    def _leave(self, module: Any, inputs: Any, output: Any) -> None:
        self._inside = None

    def _keep(self, tensor: torch.Tensor) -> torch.Tensor:
        storage = _storage(tensor)
        if storage not in self._seen and storage not in self._weights:
            self._seen.add(storage)
            self._alive.append(tensor)
            self._by_block[self._inside] += tensor.untyped_storage().nbytes()
        return tensor


def _storage(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


class _FusedAttention(TorchFunctionMode):
    """Replace attention by the fused kernels' products; the meta device would use plain ones."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is functional.scaled_dot_product_attention:
            named = dict(zip(("query", "key", "value"), args, strict=False)) | (kwargs or {})
            attention: Any = _Attention.apply
            return attention(named["query"], named["key"], named["value"])
        return func(*args, **(kwargs or {}))


class _Attention(torch.autograd.Function):
    """The products of fused attention, forward and backward, without saved maps."""

    @staticmethod
    def forward(ctx: Any, query: Any, key: Any, value: Any) -> Any:
        output = (query @ key.mT) @ value
        ctx.save_for_backward(query, key, value, output)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        query, key, value, _ = ctx.saved_tensors
        (gradient,) = gradients
        weights = query @ key.mT  # the fused kernels recompute them
        inner = gradient @ value.mT
        return inner @ key, inner.mT @ query, weights.mT @ gradient
