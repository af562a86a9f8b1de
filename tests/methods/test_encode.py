import pytest
import torch
from torch import nn

from fastssl.errors import InputError
from fastssl.methods.encode import encode_views, global_views, project_views, require_views


class Watcher(nn.Module):
    """Records what it is given; its output is the mean colour."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, x):
        self.seen.append(x)
        return x.mean((2, 3))


def views(num_views=3, b=4, sizes=None):
    torch.manual_seed(0)
    sizes = sizes or [6] * num_views
    return tuple(torch.randn(b, 3, s, s).contiguous(memory_format=torch.channels_last) for s in sizes)


def test_encode_views_makes_one_pass_in_channels_last():
    network = Watcher()
    batch = views()
    z = encode_views(network, batch)
    (seen,) = network.seen
    assert seen.shape == (12, 3, 6, 6)
    assert seen.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(z, torch.stack([v.mean((2, 3)) for v in batch]))


def test_encode_views_of_one_view():
    assert encode_views(Watcher(), views(1)).shape == (1, 4, 3)


@pytest.mark.parametrize(
    ("sizes", "per_view_bn", "passes"),
    [([6, 6], True, [4, 4]), ([6, 8], False, [4, 4]), ([8, 6, 6, 8, 6], False, [8, 12]), ([6, 6, 8], True, [4, 4, 4])],
)
def test_encode_views_makes_one_pass_per_size_or_per_view(sizes, per_view_bn, passes):
    network = Watcher()
    batch = views(sizes=sizes)
    z = encode_views(network, batch, per_view_bn)
    assert [len(seen) for seen in network.seen] == passes
    torch.testing.assert_close(z, torch.stack([v.mean((2, 3)) for v in batch]))


def test_per_view_bn_normalises_each_view_by_itself():
    shifted = (views(1)[0], 10 + views(1)[0])
    network = nn.Sequential(nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    apart, together = (encode_views(network, shifted, flag).mean(1).abs().max() for flag in (True, False))
    assert apart < 1e-5
    assert together > 0.5


def test_require_views_names_the_fix():
    with pytest.raises(InputError, match=r"views=1 leaves simclr nothing to compare; give --views 2 or more"):
        require_views(views(1), 2, "simclr")
    require_views(views(2), 2, "simclr")


def test_project_views_is_one_pass_of_the_head_or_one_per_view():
    z = torch.randn(3, 8, 4)
    head = nn.BatchNorm1d(4)
    torch.testing.assert_close(project_views(head, z), head(z.flatten(0, 1)).view(3, 8, 4))
    assert head.num_batches_tracked == 2
    torch.testing.assert_close(project_views(head, z, True), torch.stack([head(view) for view in z]))
    assert head.num_batches_tracked == 8


@pytest.mark.parametrize(
    ("sizes", "count", "expected"),
    [([8, 8, 4, 4, 4], None, [0, 1]), ([4, 8, 4, 8], None, [1, 3]), ([6, 6, 6], None, [0, 1, 2]), ([6] * 4, 2, [0, 1])],
)
def test_global_views_are_the_largest_or_the_first(sizes, count, expected):
    assert global_views(views(sizes=sizes), count) == expected


def test_global_views_refuses_more_than_there_are():
    with pytest.raises(InputError, match="global_views=3 of 2 views"):
        global_views(views(2), 3)
