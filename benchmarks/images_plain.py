"""The same nets in a plain PyTorch loop, as tutorials write it: what our trainer is compared with.

Batches by a `DataLoader` over tensors in memory, two Adam optimisers, single precision, layouts
and kernels as they come, the last weights at the end. The recipe is that of DCGAN (Radford, Metz
and Chintala 2016, arXiv:1511.06434): learning rate 2e-4, betas .5 and .999, the losses of
Goodfellow et al. 2014.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from synthehr.encode.image import ImageFields
from synthehr.models.image_adversarial import ImageCritic, ImageGameConfig, ImageGenerator
from synthehr.models.image_base import Images, signed

BATCH = 64


class PlainGAN:
    """Generator, critic, and the loop that trains them."""

    def __init__(
        self, fields: ImageFields, config: ImageGameConfig, images: Images, seed: int
    ) -> None:
        torch.manual_seed(seed)
        self.generator = ImageGenerator(fields, fields.columns, config)
        self.critic = ImageCritic(fields, fields.columns, config)
        pixels = signed(images.pixels).contiguous()
        data = TensorDataset(pixels, images.codes.long())
        self.loader = DataLoader(data, batch_size=BATCH, shuffle=True, drop_last=True)
        self.optimisers = [
            torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999))
            for net in (self.generator, self.critic)
        ]
        self.random = torch.Generator().manual_seed(seed)

    def train(self, *, seconds: float = float("inf"), steps: int | None = None) -> int:
        """Train until the time or the steps are over; how many steps there were."""
        end, done = time.monotonic() + seconds, 0
        self.generator.train()
        self.critic.train()
        while True:
            for pixels, codes in self.loader:
                if time.monotonic() >= end or done == steps:
                    return done
                self.step(pixels, codes)
                done += 1

    def step(self, pixels: Tensor, codes: Tensor) -> None:
        """One step of the critic and one of the generator."""
        of_generator, of_critic = self.optimisers
        drawn = self._drawn(codes)
        of_critic.zero_grad()
        real = functional.softplus(-self.critic(pixels, codes)).mean()
        fake = functional.softplus(self.critic(drawn.detach(), codes)).mean()
        (real + fake).backward()
        of_critic.step()
        of_generator.zero_grad()
        functional.softplus(-self.critic(drawn, codes)).mean().backward()
        of_generator.step()

    @torch.no_grad()
    def draw(self, codes: Tensor) -> Tensor:
        """Draw an image for each record of columns, (n, 2, D)."""
        nets: list[nn.Module] = [self.generator, self.critic]
        for net in nets:
            net.eval()
        return torch.cat([self._drawn(part) for part in codes.split(512)])

    def _drawn(self, codes: Tensor) -> Tensor:
        return self.generator(self.generator.draw_noise(len(codes), self.random), codes)
