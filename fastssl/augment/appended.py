"""A user's own module behind any backend: it gets the views in 0-1, then they are normalised, erased and rounded.

The module may be any `nn.Module`, a Kornia augmentation or `AugmentationSequential` among them. Its own randomness,
where it has any, comes from torch's global generators and is not covered by the key: another batch size or order gives
other draws. (Seeding them per batch would have to read the key back from the device.) Training seeds those generators
and a checkpoint keeps their state, so that a run repeats, and a resumed one continues, with the same draws.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from fastssl.augment.chain import ViewBackend, check_spec, finish
from fastssl.errors import InputError
from fastssl.types import AugmentBackend, Images, Views
from fastssl.views import ERASE_AT, ViewParams, ViewSpec


class Appended(ViewBackend):
    """`inner` makes every operation up to the noise, `module` comes next: float32 (b, 3, s, s) in 0-1 to the same.

    `name` is the inner backend's, `+`, and the module's repr on one line: it enters a run's identity, so the repr
    should say all that decides what the module does. `module` must lie on the images' device; it runs without
    gradients, and outside autocast.
    """

    def __init__(self, inner: AugmentBackend, module: nn.Module) -> None:
        self._described = " ".join(repr(module).split())
        if re.search(r"\bat 0x[0-9a-f]+", self._described):
            raise InputError(
                f"append={self._described} names an address in memory, which differs from run to run; give it a "
                "__repr__ or extra_repr that says what it does"
            )
        super().__init__(f"{inner.reason}; with a module of the user's own")
        self.name = f"{inner.name}+{self._described}"
        self.inner, self.module, self.reads_rows = inner, module, inner.reads_rows

    def supports(self, spec: ViewSpec, device: torch.device) -> str | None:
        return check_spec(spec) or self.inner.supports(spec, device)

    def _apply_views(
        self, images: Images, params: Sequence[ViewParams], specs: Sequence[ViewSpec], dtype: torch.dtype
    ) -> Views:
        return self._apply(images, None, params, specs, dtype)

    def _apply_rows(
        self, images: Images, rows: Tensor, params: Sequence[ViewParams], specs: Sequence[ViewSpec], dtype: torch.dtype
    ) -> Views:
        return self._apply(images, rows, params, specs, dtype)

    def _apply(
        self,
        images: Images,
        rows: Tensor | None,
        params: Sequence[ViewParams],
        specs: Sequence[ViewSpec],
        dtype: torch.dtype,
    ) -> Views:
        unit = [replace(spec, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)) for spec in specs]
        views = self.inner.apply_views(images, [_without_erase(one) for one in params], unit, torch.float32, rows)
        drawn = zip(views, params, specs, strict=True)
        return tuple(finish(self._through_module(view), one, spec, dtype) for view, one, spec in drawn)

    @torch.no_grad()
    def _through_module(self, views: Tensor) -> Tensor:
        made = self.module(views)
        if not isinstance(made, Tensor) or made.shape != views.shape or not made.is_floating_point():
            got = f"{tuple(made.shape)} {made.dtype}" if isinstance(made, Tensor) else f"a {type(made).__name__}"
            raise InputError(
                f"append={self._described} gave {got} for views {tuple(views.shape)}; give a module that keeps the "
                "shape and returns floats"
            )
        return made.float()


def append(backend: AugmentBackend, module: nn.Module) -> AugmentBackend:
    """The backend with `module` after its last operation on pixels, before normalising. See `Appended`.

    Raises `InputError` for a module whose repr names an address in memory.
    """
    return Appended(backend, module)


def _without_erase(params: ViewParams) -> ViewParams:
    """A copy in which no box is erased: its height is 0."""
    table = params.table.clone()
    table[:, ERASE_AT : ERASE_AT + 4] = 0
    return ViewParams(table)
