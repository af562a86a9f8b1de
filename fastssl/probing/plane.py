"""Features in the plane, by a kept library: t-SNE of scikit-learn, or UMAP. To look at, not to measure."""

from typing import Any, Literal

from jaxtyping import Float32
from torch import Tensor
from torch.nn import functional as F

from fastssl.errors import InputError

MapKind = Literal["tsne", "umap"]


def in_the_plane(features: Float32[Tensor, "n k"], kind: MapKind, seed: int = 0) -> Any:
    """Points (n, 2), NumPy, by cosine distance; the same for a seed on one machine.

    t-SNE: van der Maaten, Hinton 2008; UMAP: McInnes, Healy, Melville 2018. Errors: `InputError` when the library, or
    enough images for it, is missing.
    """
    if len(features) < 50:
        raise InputError(f"images={len(features)} are too few to draw a map of; give 50 or more")
    unit = F.normalize(features, dim=1).numpy()
    try:
        if kind == "tsne":
            from sklearn.manifold import TSNE

            return TSNE(init="pca", random_state=seed).fit_transform(unit)
        from umap import UMAP  # pyright: ignore[reportMissingImports]

        return UMAP(metric="cosine", random_state=seed, n_jobs=1).fit_transform(unit)
    except ImportError as error:
        how = "pip install 'fastssl-vision[map]'"
        raise InputError(f"map={kind} needs {error.name}, which is not installed; install it with `{how}`") from error
