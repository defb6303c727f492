"""The training objective of the CAM network: classification, reconstruction and alignment together (Eq. 10)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sscnb.errors import UserError
from sscnb.method.cam import CAMNet, classification_loss
from sscnb.method.drs import Suppression
from sscnb.method.modulation import alignment_loss
from sscnb.method.perceptual import PerceptualLoss, pixel_loss, reduced
from sscnb.method.reconstruction import ReconstructionNet
from sscnb.networks import build_backbone
from sscnb.settings import Config, Variant


class Objective(nn.Module):
    """L = L_cls + beta_p L_p + beta_a L_a, with the terms that the variant has (Eq. 10).

    Args:
        net: the CAM network.
        variant: which terms are on.
        config: their settings.
        decoder: reconstruction network, for variants with reconstruction.
        perceptual: the frozen loss network, for variants with the perceptual loss.

    `forward(batch, epoch)` takes `image` B,3,S,S, `labels` B,C and, with modulation, `superpixels` B,S,S; it returns
    the scalar losses by name: "loss" is what is minimised, the parts are unweighted.
    """

    def __init__(
        self,
        net: CAMNet,
        variant: Variant,
        config: Config,
        decoder: ReconstructionNet | None = None,
        perceptual: PerceptualLoss | None = None,
    ):
        super().__init__()
        self.net, self.decoder, self.perceptual = net, decoder, perceptual
        self.variant, self.reconstruction, self.modulation = variant, config.reconstruction, config.modulation

    def forward(self, batch: Mapping[str, Any], epoch: int) -> dict[str, Tensor]:
        logits, features, stages = self.net.forward_stages(batch["image"])
        source = stages[self.reconstruction.early_stage] if self.variant.reconstruction == "early" else features
        del stages  # frozen stages' maps would stay for the whole step
        losses = {"classification": classification_loss(logits, batch["labels"])}
        loss = losses["classification"]
        if self.decoder is not None and epoch < self.reconstruction.warmup_epochs:
            losses["reconstruction"] = features.new_zeros(())
        elif self.decoder is not None:
            losses["reconstruction"] = self.reconstruction_loss(self.decoder(source), batch["image"])
            loss = loss + self.reconstruction.beta * losses["reconstruction"]
        if self.variant.modulation:
            losses["alignment"] = features.new_zeros(())
            if epoch >= self.modulation.warmup_epochs:
                losses["alignment"] = alignment_loss(
                    features,
                    batch["superpixels"],
                    batch["labels"],
                    threshold=self.modulation.threshold,
                    erosion=self.modulation.erosion,
                    select=self.variant.select,
                )
                loss = loss + self.modulation.beta * losses["alignment"]
        return {"loss": loss, **losses}

    def rebuild(self, images: Tensor, *, without: Sequence[int] = ()) -> Tensor:
        """Rebuild images B,3,S,S from the features that the variant reads, at their size; needs a decoder.

        `without` sets channels of these features to 0 first; channel c of the CAM features is that of class c.
        """
        _, features, stages = self.net.forward_stages(images)
        if self.decoder is None:
            raise UserError(f"variant {self.variant.title!r} has no decoder; expected one with reconstruction.")
        if self.variant.reconstruction == "early":
            features = stages[self.reconstruction.early_stage]
        if len(without):
            features = features.clone()
            features[:, list(without)] = 0
        rebuilt = self.decoder(features)
        shrink = self.reconstruction.shrink
        return F.interpolate(rebuilt, scale_factor=shrink, mode="nearest") if shrink > 1 else rebuilt

    def reconstruction_loss(self, reconstruction: Tensor, image: Tensor) -> Tensor:
        """Compare the rebuilt image with the input as the variant says: perceptual (Eq. 6), L1 or L2."""
        if self.perceptual is None:
            return pixel_loss(reconstruction, reduced(image, self.reconstruction.shrink), self.variant.loss)
        return self.perceptual(reconstruction, self.perceptual.targets(image))


def build_cam_net(config: Config, variant: Variant, num_classes: int, *, weights: str | None = None) -> CAMNet:
    """Build a variant's CAM network; `weights` replaces the settings', such as "random" where a checkpoint follows."""
    cam = config.cam
    backbone = build_backbone(
        cam.backbone, output_stride=cam.output_stride, weights=weights or cam.weights, detach=cam.detach
    )
    suppression = Suppression(cam.fidelity, cam.delta) if variant.suppression else None
    return CAMNet(backbone, num_classes, suppression)


def build_objective(config: Config, variant: Variant, num_classes: int, *, trained: bool = False) -> Objective:
    """Build the objective of a variant with ImageNet weights in backbone and loss network.

    With `trained`, for a checkpoint to be loaded into it, there are no weights yet and no loss network.
    """
    net = build_cam_net(config, variant, num_classes, weights="random" if trained else None)
    decoder = build_decoder(config, variant, net) if variant.reconstruction else None
    wanted = decoder is not None and variant.loss == "perceptual" and not trained
    return Objective(net, variant, config, decoder, build_perceptual(config) if wanted else None)


def build_perceptual(config: Config) -> PerceptualLoss:
    """Build the perceptual loss with the weights of its network."""
    settings = config.reconstruction
    return PerceptualLoss(
        build_backbone(settings.loss_network, output_stride=settings.loss_stride, weights=settings.loss_weights),
        taps=settings.taps,
        stage_weights=settings.stage_weights,
        scale=settings.scale,
        shrink=settings.shrink,
        checkpoint=settings.checkpoint,
    )


def build_decoder(config: Config, variant: Variant, net: CAMNet) -> ReconstructionNet:
    """Build the reconstruction network for the features that a variant rebuilds the image from."""
    late = variant.reconstruction == "cam"
    stage = -1 if late else config.reconstruction.early_stage
    channels = net.classifier.out_channels if late else net.backbone.channels[stage]
    upsamplings = net.backbone.strides[stage].bit_length() - 1  # each doubles the side: stride 16 takes four
    settings = config.reconstruction
    upsamplings -= settings.shrink.bit_length() - 1
    return ReconstructionNet(channels, settings.width, upsamplings=upsamplings, checkpoint=settings.checkpoint)


def build_optimizers(objective: Objective, config: Config) -> list[torch.optim.Optimizer]:
    """SGD for the CAM network, with a rate for the backbone and one for the classifier; Adam for the decoder."""
    cam, net = config.cam, objective.net
    trained = [p for p in net.backbone.parameters() if p.requires_grad]
    groups = [{"params": net.classifier.parameters(), "lr": cam.lr_classifier}]
    if trained:
        groups.insert(0, {"params": trained, "lr": cam.lr_backbone})
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.SGD(groups, momentum=cam.momentum, weight_decay=cam.weight_decay)
    ]
    if objective.decoder is not None:
        settings = config.reconstruction
        optimizers.append(torch.optim.Adam(objective.decoder.parameters(), lr=settings.lr, betas=settings.betas))
    return optimizers
