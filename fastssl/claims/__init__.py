"""The papers' claims as experiments: `fastssl claim`. Each claim is a file; to add one, write it and list it here."""

from fastssl.claims import (
    c0_parity,
    c1_small_projector,
    c2_weight_over_d,
    c3_vicreg_weight,
    c4_more_views,
    c5_views_per_second,
    c6_fewer_images,
    c7_projector_cost,
    c8_rank_over_time,
    c9_small_batches,
    c10_one_negative,
    c11_noise_only,
    c12_loader_end_to_end,
    c13_diet_few_images,
    c14_diet_batch,
    c15_diet_loss,
    c16_diet_ingredients,
    c17_asymmetric_heads,
    c18_dissl_weight,
    c19_dimension,
    c20_coarse_augmentation,
)
from fastssl.claims.claim import Claim

_FILES = (
    *(c0_parity, c1_small_projector, c2_weight_over_d, c3_vicreg_weight, c4_more_views, c5_views_per_second),
    *(c6_fewer_images, c7_projector_cost, c8_rank_over_time, c9_small_batches, c10_one_negative, c11_noise_only),
    *(c12_loader_end_to_end, c13_diet_few_images, c14_diet_batch, c15_diet_loss, c16_diet_ingredients),
    *(c17_asymmetric_heads, c18_dissl_weight, c19_dimension, c20_coarse_augmentation),
)
CLAIMS: dict[str, Claim] = {file.CLAIM.name: file.CLAIM for file in _FILES}
"""By name, in order of their numbers."""
