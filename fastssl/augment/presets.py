"""Named augmentations of the field: one `ViewSpec` per distinct view, every number with its source.

A preset is a function of the view's side, and of a strength where its authors have such a dial. Its docstring says what
it is and, after `Source:`, where the numbers come from and where two sources differ. `docs/presets.md` is the table.

The originals blur in one of two ways. SimCLR and BYOL convolve with a tenth of the view's side; GaussianBlur(sigma) of
PIL is three box filters that together reach about six pixels at sigma 2, for which 13 taps stand here. Both become
fewer on small views. Resizing widens its filter when a crop shrinks, as PIL's does and TensorFlow's (SimCLR) does not.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from fastssl.errors import InputError
from fastssl.views import ViewSpec

Specs = tuple[ViewSpec, ...]
LEAST_SIZE = 8
"""Pixels; below that the small crops of DINO and SwAV have no pixel left to blur."""
_PIL_TAPS = 13


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A named augmentation. `strengths` is its dial's (least, default, most), or None."""

    name: str
    build: Callable[..., Specs]
    """`build(size)`, or `build(size, strength)` where there is a dial."""
    size: int
    """Side of the (large) views in pixels, unless another is asked for."""
    strengths: tuple[float, float, float] | None = None

    @property
    def about(self) -> str:
        """One line: what it is."""
        return _paragraphs(self.build)[0]

    @property
    def source(self) -> str:
        """Where its numbers come from."""
        return _paragraphs(self.build)[-1].removeprefix("Source: ")

    @property
    def layout(self) -> str:
        """Its distinct views in words, for instance `2 x 224, 6 x 96`."""
        sizes = [spec.size for spec in self.specs()]
        return ", ".join(f"{sizes.count(size)} x {size}" for size in dict.fromkeys(sizes))

    @property
    def dial(self) -> str:
        """What `strength` may be, in words; empty without a dial."""
        if self.strengths is None:
            return ""
        least, usual, most = self.strengths
        return f"{least:g} to {most:g}, by default {usual:g}"

    def specs(self, size: int | None = None, strength: float | None = None) -> Specs:
        """As `get_preset`."""
        size = self.size if size is None else size
        if size < LEAST_SIZE:
            raise InputError(f"size={size} is too small for the preset {self.name!r}; give {LEAST_SIZE} px or more")
        if self.strengths is None:
            if strength is not None:
                raise InputError(f"strength={strength} has no effect on the preset {self.name!r}; leave it out")
            return self.build(size)
        least, usual, most = self.strengths
        strength = usual if strength is None else strength
        if not least <= strength <= most:
            raise InputError(f"strength={strength} is outside the preset {self.name!r}; give {least:g} to {most:g}")
        return self.build(size, strength)


PRESETS: dict[str, Preset] = {}


def get_preset(name: str, *, size: int | None = None, strength: float | None = None) -> Specs:
    """One spec per distinct view, in order: one for a symmetric preset, two for a pair, all of them for multi-crop.

    Args:
        name: a key of `PRESETS`.
        size: side of the (large) views in pixels, at least 8; None takes the preset's own. Small views, blurs and
            paddings follow it.
        strength: the preset's dial; None takes its default.

    Errors: `InputError` for an unknown name, a strength outside the dial or for a preset without one, a tiny size.
    """
    if name not in PRESETS:
        raise InputError(f"preset={name!r} is unknown; give one of {', '.join(PRESETS)}")
    return PRESETS[name].specs(size, strength)


def _preset(
    name: str, *, size: int, strengths: tuple[float, float, float] | None = None
) -> Callable[[Callable[..., Specs]], Callable[..., Specs]]:
    def register(build: Callable[..., Specs]) -> Callable[..., Specs]:
        PRESETS[name] = Preset(name=name, build=build, size=size, strengths=strengths)
        return build

    return register


def _paragraphs(build: Callable[..., Specs]) -> list[str]:
    return [" ".join(paragraph.split()) for paragraph in (build.__doc__ or "").split("\n\n")]


def _at_most(taps: int, size: int) -> int:
    """The greatest odd number up to `taps` and `size`, at least 3."""
    taps = min(taps, size)
    return max(3, taps - (taps + 1) % 2)


def _tenth(size: int) -> int:
    """SimCLR's and BYOL's blur: a tenth of the side in pixels to the left and right together, and the middle one."""
    return max(3, 2 * (size // 20) + 1)


def _pil(size: int) -> int:
    return _at_most(_PIL_TAPS, size)


def _small(size: int) -> int:
    """Side of the small views of DINO and SwAV: 96 pixels beside 224."""
    return round(size * 96 / 224)


def _coloured(spec: ViewSpec, strength: float) -> ViewSpec:
    """With SimCLR's colour distortion."""
    most = 0.8 * strength
    return replace(spec, jitter_p=0.8, brightness=most, contrast=most, saturation=most, hue=0.2 * strength, gray_p=0.2)


@_preset("simclr", size=224, strengths=(0.0, 1.0, 2.0))
def _simclr(size: int, strength: float) -> Specs:
    """SimCLR on ImageNet: crop, flip, strong colours, gray, blur; strength scales the colours.

    Source: Chen et al. 2020, section 3 and appendix A; google-research/simclr data_util.py, 244e712
    (`simclrv2` brightness, which multiplies).
    """
    spec = ViewSpec(size=size, interpolation="bicubic", blur_p=0.5, blur_kernel=_tenth(size))
    return (_coloured(spec, strength),)


@_preset("simclr-cifar", size=32, strengths=(0.0, 0.5, 2.0))
def _simclr_cifar(size: int, strength: float) -> Specs:
    """SimCLR on CIFAR-10: half the colours, no blur; strength scales the colours.

    Source: Chen et al. 2020, appendix B.9.
    """
    return (replace(_simclr(size, strength)[0], blur_p=0.0),)


def _pair(size: int, blur_kernel: int) -> Specs:
    first = ViewSpec(size=size, interpolation="bicubic", saturation=0.2, gray_p=0.2, blur_p=1.0,
                     blur_kernel=blur_kernel)  # fmt: skip
    return first, replace(first, blur_p=0.1, solarize_p=0.2)


@_preset("byol", size=224)
def _byol(size: int) -> Specs:
    """BYOL's pair: one view always blurred, the other rarely blurred and sometimes solarized.

    Source: Grill et al. 2020, appendix B; google-deepmind/deepmind-research byol/utils/augmentations.py, 923ad3c. Its
    code adds to the brightness; ours multiplies, as torchvision and the later methods do.
    """
    return _pair(size, _tenth(size))


@_preset("barlow", size=224)
def _barlow(size: int) -> Specs:
    """Barlow Twins' pair: BYOL's numbers with PIL's blur.

    Source: Zbontar et al. 2021, section 2.2; facebookresearch/barlowtwins main.py, 046eec3. Blur of 13 taps for PIL's.
    """
    return _pair(size, _pil(size))


@_preset("vicreg", size=224)
def _vicreg(size: int) -> Specs:
    """VICReg: both views alike, blurred half of the time, solarized one time in ten.

    Source: Bardes et al. 2022, appendix C.1, for blur (.5) and solarize (.1), both views alike; the rest as
    facebookresearch/vicreg augmentations.py, 7c44ca0, where solarize is .5. Blur of 13 taps.
    """
    return (
        ViewSpec(size=size, interpolation="bicubic", saturation=0.2, gray_p=0.2, blur_p=0.5, blur_kernel=_pil(size),
                 solarize_p=0.1),
    )  # fmt: skip


@_preset("moco-v2", size=224)
def _moco_v2(size: int) -> Specs:
    """MoCo v2: crops of at least a fifth, colours .4/.4/.4/.1, gray, blur.

    Source: Chen, Fan, Girshick and He 2020; facebookresearch/moco main_moco.py with --aug-plus, 010242b. It flips last;
    here the flip comes before the colours, which gives the same view. Blur of 13 taps for PIL's.
    """
    return (ViewSpec(size=size, crop_scale=(0.2, 1.0), gray_p=0.2, blur_p=0.5, blur_kernel=_pil(size)),)


@_preset("dino", size=224)
def _dino(size: int) -> Specs:
    """DINO's multi-crop: two large views as BYOL's pair, eight small ones of 5-40 % of the area.

    Source: Caron et al. 2021; facebookresearch/dino main_dino.py, 04c0ad9: crops of .4-1 and .05-.4, its defaults for
    vision transformers (.14-1 and .05-.14 for a ResNet-50). Blur of 13 taps for PIL's; the small side is 96 of 224.
    """
    first, second = (replace(spec, crop_scale=(0.4, 1.0)) for spec in _pair(size, _pil(size)))
    side = _small(size)
    small = replace(first, size=side, crop_scale=(0.05, 0.4), blur_p=0.5, blur_kernel=_pil(side))
    return (first, second, *(small,) * 8)


@_preset("swav", size=224)
def _swav(size: int) -> Specs:
    """SwAV's multi-crop: two large and six small views, SimCLR's colours, blur.

    Source: Caron et al. 2020; facebookresearch/swav multicropdataset.py and swav_800ep_pretrain.sh, 04b8f43: 2 x 224 of
    .14-1 and 6 x 96 of .05-.14, blur of 23 taps on both; the small side is 96 of 224.
    """
    side = _small(size)
    large = ViewSpec(size=size, crop_scale=(0.14, 1.0), blur_p=0.5, blur_kernel=_at_most(23, size))
    large = _coloured(large, 1.0)
    small = replace(large, size=side, crop_scale=(0.05, 0.14), blur_kernel=_at_most(23, side))
    return (large,) * 2 + (small,) * 6


@_preset("diet-0", size=32)
def _diet_0(size: int) -> Specs:
    """DIET at strength 0: the plain image.

    Source: Ibrahim, Klindt and Balestriero 2024 (strengths 1 to 3); 0 is without any.
    """
    return (ViewSpec.plain(size),)


@_preset("diet-1", size=32)
def _diet_1(size: int) -> Specs:
    """DIET at strength 1: crop and flip.

    Source: Ibrahim, Klindt and Balestriero 2024; torchvision's RandomResizedCrop at its defaults.
    """
    return (ViewSpec(size=size, jitter_p=0.0, gray_p=0.0),)


@_preset("diet-2", size=32)
def _diet_2(size: int) -> Specs:
    """DIET at strength 2: crop, flip, rare colours .4/.4/.4/.2, gray.

    Source: Ibrahim, Klindt and Balestriero 2024.
    """
    return (ViewSpec(size=size, jitter_p=0.3, hue=0.2, gray_p=0.2),)


@_preset("diet-3", size=32)
def _diet_3(size: int) -> Specs:
    """DIET at strength 3, the paper's: strength 2 with a blur of three taps, sigma .1-2, and erasing.

    Source: Ibrahim, Klindt and Balestriero 2024; torchvision's RandomErasing at p .25 and otherwise its defaults.
    Public code for it blurs with sigma 1-2 and erases to black before normalising; ours erases to the mean colour.
    """
    return (replace(_diet_2(size)[0], blur_p=0.2, blur_sigma=(0.1, 2.0), blur_kernel=3, erase_p=0.25),)


@_preset("issl", size=64, strengths=(0.25, 1.0, 2.0))
def _issl(size: int, strength: float) -> Specs:
    """ISSL's dial on small images: colours, gray and the smallest crop grow with the strength; blur sets in above 1.

    Colours .4 s, .4 s, .4 s, .1 s; gray .1 s; crops from .2 / s. The authors do not blur up to 1 and blur half of the
    views at 2 ("coarse"); between, the probability of a blur is (s - 1) / 2, which is ours.

    Source: Dubois et al. 2022; YannDubs/Invariant-Self-Supervised-Learning utils/data/augmentations/simclr.py, 11574cf
    (TinyImageNet, STL-10), bin/tinyimagenet/fig7a_augmentations.sh, 34dd04c, config/representor/cissl_coarse.yaml,
    ef88c95.
    """
    most = 0.4 * strength
    return (
        ViewSpec(size=size, crop_scale=(0.2 / strength, 1.0), interpolation="bicubic", jitter_p=0.8, brightness=most,
                 contrast=most, saturation=most, hue=0.1 * strength, gray_p=0.1 * strength,
                 blur_p=max(0.0, (strength - 1) / 2), blur_kernel=_tenth(size)),
    )  # fmt: skip


@_preset("issl-fine", size=64)
def _issl_fine(size: int) -> Specs:
    """ISSL's standard augmentation for TinyImageNet and STL-10: `issl` at strength 1.

    Source: as `issl`.
    """
    return _issl(size, 1.0)


@_preset("issl-coarse", size=64)
def _issl_coarse(size: int) -> Specs:
    """ISSL's coarser augmentation: `issl` at strength 2, with blur.

    Source: as `issl`.
    """
    return _issl(size, 2.0)


@_preset("small-projector-cifar", size=32)
def _small_projector_cifar(size: int) -> Specs:
    """Small projectors and many views, on CIFAR-10: crop, flip, colours without hue, gray.

    Source: Agrawal et al. 2023; kumarkrishna/fastssl data/cifar_transforms.py (`CifarTransformFFCV`), 11e77ec.
    """
    return (ViewSpec(size=size, hue=0.0, gray_p=0.2),)


@_preset("small-projector-stl", size=64)
def _small_projector_stl(size: int) -> Specs:
    """Small projectors and many views, on STL-10: milder crops, half the gray, 64 pixels.

    Source: Agrawal et al. 2023; kumarkrishna/fastssl data/cifar_transforms.py (`STLTransformFFCV`), 11e77ec. At that
    commit its loader makes views after the second at 32 pixels; here all have one size.
    """
    return (ViewSpec(size=size, crop_scale=(0.2, 1.0), hue=0.0, gray_p=0.1),)


@_preset("supervised", size=224)
def _supervised(size: int) -> Specs:
    """What classifiers on ImageNet are trained with: crop of 8-100 % and flip.

    Source: Szegedy et al. 2015, section 6; torchvision's RandomResizedCrop and RandomHorizontalFlip at their defaults.
    """
    return (ViewSpec(size=size, jitter_p=0.0, gray_p=0.0),)


@_preset("crop-only", size=224)
def _crop_only(size: int) -> Specs:
    """Crop of 8-100 % and nothing else: how much the crop alone teaches.

    Source: an ablation, as in Chen et al. 2020, figure 5; torchvision's RandomResizedCrop at its defaults.
    """
    return (ViewSpec(size=size, flip_p=0.0, jitter_p=0.0, gray_p=0.0),)


@_preset("noise-only", size=224, strengths=(0.0, 0.2, 1.0))
def _noise_only(size: int, strength: float) -> Specs:
    """Gaussian noise and nothing else; strength is its standard deviation on values in 0-1.

    Source: the claim is that of Bordes, Balestriero and Vincent 2023 (FFCV-SSL). Their examples contain no noise, so
    the default deviation is ours, and the noise is cut to 0-1.
    """
    return (replace(ViewSpec.plain(size), noise_p=1.0, noise_sigma=(strength, strength)),)


@_preset("pad-flip", size=32)
def _pad_flip(size: int) -> Specs:
    """CIFAR's classic: four black pixels around 32, a random square of the old size, flip.

    Source: He et al. 2016, section 4.2; the padding is an eighth of the side.
    """
    return (replace(ViewSpec.plain(size), pad=size // 8, flip_p=0.5),)


@_preset("cutout", size=32)
def _cutout(size: int) -> Specs:
    """`pad-flip` with one square of a quarter of the view set to the mean colour.

    Source: DeVries and Taylor 2017, 16 of 32 pixels for CIFAR-10; uoguelph-mlrg/Cutout, 02f333a, which centres the
    square anywhere, so that the edge cuts it; here it always lies inside.
    """
    return (
        replace(_pad_flip(size)[0], erase_p=1.0, erase_scale=(0.25, 0.25), erase_ratio=(1.0, 1.0), erase_value=0.0),
    )
