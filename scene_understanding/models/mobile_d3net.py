"""D3-Net on board: D3-Net's decoder (depth_network.py) on the stages of MobileNetV2 (mobilenet_v2.py).

The same skips at strides 2, 4, 8 and 16 and the same blocks, narrower; the last block, at full size, is left out unless
asked for, and the depth of half size upsampled: that block would be a third of all work.
"""

from __future__ import annotations

from scene_understanding.models.depth_network import DepthDecoder, DepthNetwork
from scene_understanding.models.mobilenet_v2 import MobileNetV2Stages


class MobileD3Net(DepthNetwork):
    """3.3 M parameters with the defaults.

    Args:
        widths: channels of the decoder's blocks, d5 first.
        dropout: share of channels that are off in training, in d5 and d4.
        finest: stride of the depth, 2 or 1; 1 takes a fifth width, for d1.
        aleatoric: whether it says the scale of its error too.
    """

    def __init__(
        self,
        widths: tuple[int, ...] = (128, 96, 64, 32),
        dropout: float = 0.0,
        finest: int = 2,
        aleatoric: bool = False,
    ) -> None:
        super().__init__(dropout, aleatoric)
        self.color = MobileNetV2Stages(3)
        self.decoder = DepthDecoder(self.color.channels, widths, finest, aleatoric)
