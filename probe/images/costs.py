"""Memory and operations of one image, from tensors without content."""

from __future__ import annotations

import inspect
import time
import weakref
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from probe.errors import OptionError
from probe.images.models.model import ImageModel
from probe.images.shapes import Shapes
from probe.io.files import one_line
from probe.stats.notation import number

_SIDE = 1024  # of the matrices by whose product the speed of a device is measured


@dataclass(frozen=True)
class ImagePlan:
    """What an image costs; memory in gigabytes of 10^9 bytes."""

    dtype: str
    guidance_scale: float
    n_steps: int
    resolution: int
    """Pixels of a side."""
    weights: dict[str, int]
    """Number of weights by part."""
    gigabytes: dict[str, float]
    """Peak memory of the device for one image, by `--offload`: none, model, sequential."""
    gigabytes_per_image: float
    """Of that, what each further image of a batch adds."""
    flops: int
    """Operations of one image: all steps, with guidance, and its decoding."""
    seconds: float | None
    """At the speed of a matrix product on this device, if it was measured: a lower bound."""

    def to_json(self) -> dict[str, Any]:
        """Return every figure."""
        return asdict(self)

    def summary(self) -> str:
        """Summarise the plan in a few lines."""
        peak = ", ".join(f"{value:.2g} GB ({name})" for name, value in self.gigabytes.items())
        lines = [
            f"an image of {self.resolution} px in {self.dtype}, {self.n_steps} steps, guidance "
            f"{self.guidance_scale:g}: {self.flops / 1e12:.3g} TFLOP",
            f"memory for it, by --offload: {peak}; each further image of a batch "
            f"{self.gigabytes_per_image:.2g} GB",
        ]
        if self.seconds is not None:
            lines.append(f"at the speed of a matrix product here: {number(self.seconds, 3)} s")
        return "\n".join(lines)


def plan_images(
    shapes: Shapes,
    *,
    dtype: str = "float32",
    resolution: int | None = None,
    device: torch.device | None = None,
) -> ImagePlan:
    """Estimate what an image costs, from a model's configuration.

    The denoiser gets what the pipeline's own ``__call__`` gives it, on torch's meta device. Memory
    is that of the weights, and of the tensors that exist at once in the denoiser or the VAE;
    attention is assumed to be fused. What torch and the libraries themselves need is not in it.

    Parameters
    ----------
    shapes : Shapes
    dtype : str
        Precision of weights and arithmetic.
    resolution : int, optional
        Pixels of a side; the model's own by default.
    device : torch.device, optional
        Where the speed is measured; by default it is not.
    """
    precision: torch.dtype = getattr(torch, dtype)
    parts = {name: shapes.build(name) for name in shapes.parts if name != "scheduler"}
    counts = {name: sum(w.numel() for w in part.parameters()) for name, part in parts.items()}
    guidance_scale, n_steps = shapes.settings.guidance_scale, shapes.settings.n_steps
    model = meta_model(shapes, parts, precision)
    vae, scale = model.pipeline.vae, model.pipeline.vae_scale_factor
    size = resolution or model.latent_shape[1] * scale
    of_size = {**model.calling, "height": size, "width": size}
    try:
        denoised = _measured(model.network, *given_to_denoiser(model, guidance_scale, of_size))
    except (ValueError, RuntimeError) as error:
        raise OptionError(
            f"resolution is {size}; needed one that the model takes ({one_line(error)[:200]})"
        ) from error
    latents = torch.empty(1, vae.config.latent_channels, size // scale, size // scale)
    torch.nn.Module.to(vae, model.decoding_dtype)
    decoded = _measured(vae.decode, (latents.to(vae.dtype),), {})
    n_bytes = {name: n * precision.itemsize for name, n in counts.items()}
    working = max(denoised.n_bytes, decoded.n_bytes)
    by_part = n_bytes | {
        model.denoiser: n_bytes[model.denoiser] + denoised.n_bytes,
        "vae": n_bytes["vae"] + decoded.n_bytes,
    }
    flops = n_steps * denoised.n_flops + decoded.n_flops
    return ImagePlan(
        dtype=dtype,
        guidance_scale=guidance_scale,
        n_steps=n_steps,
        resolution=size,
        weights=counts,
        gigabytes={
            "none": (sum(n_bytes.values()) + working) / 1e9,
            "model": max(by_part.values()) / 1e9,
            "sequential": working / 1e9,
        },
        gigabytes_per_image=working / 1e9,
        flops=flops,
        seconds=None if device is None else flops / _flops_per_second(device, precision),
    )


class _Captured(Exception):  # noqa: N818 - it ends a call, and is no error
    """What a pipeline gives its denoiser first."""

    def __init__(self, args: Any, kwargs: Any) -> None:
        self.arguments = args, kwargs


def meta_model(shapes: Shapes, parts: dict[str, Any], dtype: torch.dtype) -> ImageModel:
    """Make the model of networks on the meta device, which computes the rest on the CPU."""
    import diffusers

    kind, family = getattr(diffusers, shapes.pipeline), shapes.family
    settings = shapes.parts["scheduler"]
    scheduler = getattr(diffusers, settings["_class_name"]).from_config(settings)
    here = type(kind.__name__, (kind,), {"_execution_device": torch.device("cpu")})
    taken = inspect.signature(kind.__init__).parameters
    absent = {name: None for name in taken if name.startswith(("text_encoder", "tokenizer"))}
    networks = {
        # Not the method `to` of diffusers, which warns.
        name: torch.nn.Module.to(parts[name], dtype)
        for name in (family.denoiser, "vae")
    }
    pipeline = here(**absent, **networks, scheduler=scheduler, **family.loading)
    pipeline.set_progress_bar_config(disable=True)
    return family(pipeline)


def given_to_denoiser(model: ImageModel, guidance_scale: float, size: dict[str, Any]) -> Any:
    """Call a pipeline until its denoiser is reached."""
    conditions = model.blank_conditions()
    given = dict(conditions.tensors)
    if model.is_guided(guidance_scale):
        given |= {f"negative_{name}": of for name, of in conditions.tensors.items()}

    def forward(*args: Any, **kwargs: Any) -> None:
        raise _Captured(args, kwargs)

    model.network.forward = forward
    try:
        model.pipeline(
            **given,
            **size,
            negative_prompt=None,
            guidance_scale=guidance_scale,
            num_inference_steps=2,
            output_type="latent",
        )
    except _Captured as captured:
        return captured.arguments
    finally:
        del model.network.forward
    raise AssertionError("a pipeline did not call its denoiser")


@dataclass(frozen=True)
class _Cost:
    n_flops: int
    n_bytes: int
    """Of the tensors that exist at once, without weights and inputs."""


@torch.no_grad()
def _measured(work: Any, args: Any, kwargs: Any) -> _Cost:
    """Call a network on the meta device."""
    from torch.utils.flop_counter import FlopCounterMode

    args, kwargs = tree_map(
        lambda of: of.to("meta") if isinstance(of, torch.Tensor) else of, (args, kwargs)
    )
    with ExitStack() as stack:
        attention = stack.enter_context(_FusedAttention())
        memory = stack.enter_context(_LiveBytes())
        counter = stack.enter_context(FlopCounterMode(display=False))
        work(*args, **kwargs)
    return _Cost(counter.get_total_flops() + attention.n_flops, memory.most)


class _LiveBytes(TorchDispatchMode):
    """Bytes of the tensors that exist at once, each storage while something refers to it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most = self._now = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        before = {
            of.untyped_storage()._cdata for of in tree_leaves(args) if isinstance(of, torch.Tensor)
        }
        for of in tree_leaves(found):
            if isinstance(of, torch.Tensor):
                self._add(of.untyped_storage(), before)
        return found

    def _add(self, storage: Any, before: set[int]) -> None:
        name = storage._cdata
        if name in before or name in self._known:
            return
        self._known.add(name)
        self._now += storage.nbytes()
        self.most = max(self.most, self._now)
        weakref.finalize(storage, self._remove, name, storage.nbytes())

    def _remove(self, name: int, n_bytes: int) -> None:
        self._known.discard(name)
        self._now -= n_bytes


class _FusedAttention(TorchFunctionMode):
    """Attention of fused kernels, which keep no map; the meta device would make one."""

    def __init__(self) -> None:
        super().__init__()
        self.n_flops = 0

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is functional.scaled_dot_product_attention:
            named = dict(zip(("query", "key", "value"), args, strict=False)) | (kwargs or {})
            query, value = named["query"], named["value"]
            width = query.shape[-1] + value.shape[-1]
            self.n_flops += 2 * query[..., 0].numel() * value.shape[-2] * width
            return query.new_empty(*query.shape[:-1], value.shape[-1])
        return func(*args, **(kwargs or {}))


def _flops_per_second(device: torch.device, dtype: torch.dtype) -> float:
    """Measure matrix products; the fastest of a few."""
    matrix = torch.ones(_SIDE, _SIDE, device=device, dtype=dtype)
    taken = []
    for _ in range(8):
        begun = time.perf_counter()
        (matrix @ matrix)[0, 0].item()  # waits for the device
        taken.append(time.perf_counter() - begun)
    return 2 * _SIDE**3 / min(taken)
