"""D3-Net: a metric depth for every pixel of a colour image (Carvalho et al.: On Regression Losses for Deep Depth
Estimation, ICIP 2018, figure 1; Deep Depth from Defocus, ECCV workshops 2018).

    color /1 - conv0 /2 - conv 4x4 /4 - dense 1 - dense 2 /8 - dense 3 /16 - dense 4 /32
                 |                        |          |            |            |
    depth /1 <- d1 <-------- d2 <-------- d3 <------ d4 <-------- d5 <---------+

DenseNet-121 (densenet.py) with skips taken before the poolings of the transitions, and blocks of a transposed and a
plain convolution back up. What is other than published: depth is the softplus of the last map, so that it is positive
and losses of its logarithm exist; that map's convolution has a bias; dropout switches whole channels off; convolutions
start as PyTorch starts them, but the last; sizes that do not halve evenly are met by resizing a block's output to its
skip.
"""

from __future__ import annotations

from scene_understanding.models.densenet import DenseNetStages
from scene_understanding.models.depth_network import DepthDecoder, DepthNetwork


class D3Net(DepthNetwork):
    """As published: 24.2 M parameters with the defaults.

    Args:
        growth, blocks: of `DenseNetStages`; the defaults are DenseNet-121.
        widths: channels of the decoder's blocks, d5 first.
        dropout: share of channels that are off in training, in d5 and d4.
        finest: 1 as published, or 2: without d1, depth of half the input's size, upsampled bilinearly.
        aleatoric: whether it says the scale of its error too.
    """

    def __init__(
        self,
        growth: int = 32,
        blocks: tuple[int, ...] = (6, 12, 24, 16),
        widths: tuple[int, ...] = (512, 256, 128, 64, 64),
        dropout: float = 0.0,
        finest: int = 1,
        aleatoric: bool = False,
    ) -> None:
        super().__init__(dropout, aleatoric)
        self.color = DenseNetStages(growth, blocks)
        self.decoder = DepthDecoder(self.color.channels, widths, finest, aleatoric)
