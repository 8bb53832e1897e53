"""The training settings of a recipe."""

from typing import Literal

from pydantic import Field

from studio.core.messages import N_
from studio.core.recipe_base import RecipeModel, StrictBool, StrictFloat, StrictInt


class Training(RecipeModel):
    """The training settings."""

    epochs: StrictInt = Field(
        10, ge=1, le=100_000, title=N_("Epochs"), description=N_("passes over the training images")
    )
    batch_size: StrictInt = Field(
        32, ge=1, le=65_536, title=N_("Batch size"), description=N_("images per optimizer step")
    )
    accumulation: StrictInt = Field(
        1,
        ge=1,
        le=65_536,
        title=N_("Gradient accumulation"),
        description=N_("micro-batches per batch; more need less memory, with the same result"),
    )
    optimizer: Literal["adamw", "sgd"] = Field(
        "adamw", title=N_("Optimizer"), description=N_("AdamW, or SGD with momentum")
    )
    learning_rate: StrictFloat = Field(
        1e-3, gt=0, le=100, title=N_("Learning rate"), description=N_("peak learning rate")
    )
    weight_decay: StrictFloat = Field(
        0.01, ge=0, le=10, title=N_("Weight decay"), description=N_("decoupled weight decay; 0 disables it")
    )
    layer_decay: StrictFloat = Field(
        1.0,
        gt=0,
        le=1,
        title=N_("Layer decay"),
        description=N_("layer-wise learning rate decay per block; 1 disables it"),
    )
    schedule: Literal["cosine", "one-cycle", "constant"] = Field(
        "cosine",
        title=N_("Schedule"),
        description=N_("learning rate after the warmup; one-cycle needs a long warmup, such as 0.3"),
    )
    warmup: StrictFloat = Field(
        0.05,
        ge=0,
        lt=1,
        title=N_("Warmup"),
        description=N_("fraction of all steps with a rising learning rate; 0 disables it"),
    )
    label_smoothing: StrictFloat = Field(
        0.0,
        ge=0,
        lt=1,
        title=N_("Label smoothing"),
        description=N_("label smoothing in [0, 1); 0 disables it"),
    )
    mixup: StrictFloat = Field(
        0.0, ge=0, le=10, title=N_("Mixup"), description=N_("mixup alpha, such as 0.2; 0 disables it")
    )
    cutmix: StrictFloat = Field(
        0.0, ge=0, le=10, title=N_("CutMix"), description=N_("CutMix alpha, such as 1; 0 disables it")
    )
    fixed_views: StrictInt = Field(
        0,
        ge=0,
        le=1000,
        title=N_("Fixed views"),
        description=N_("augmented versions per image, which are reused; faster; 0 for a new one each epoch"),
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none",
        title=N_("Class weights"),
        description=N_("weights of the classes in the loss; balanced is inverse to their frequency"),
    )
    gradient_clip: StrictFloat = Field(
        1.0, ge=0, title=N_("Gradient clipping"), description=N_("largest gradient norm; 0 disables clipping")
    )
    ema: StrictFloat = Field(
        0.0,
        ge=0,
        lt=1,
        title=N_("EMA decay"),
        description=N_("decay of the moving average of the adapter weights, such as 0.99; 0 disables it"),
    )
    best_by: Literal["accuracy", "loss"] = Field(
        "accuracy", title=N_("Best epoch by"), description=N_("validation metric that selects the best epoch")
    )
    patience: StrictInt = Field(
        0,
        ge=0,
        le=100_000,
        title=N_("Patience"),
        description=N_("epochs without improvement before early stopping; 0 disables it"),
    )
    seed: StrictInt = Field(0, ge=0, title=N_("Seed"), description=N_("random seed of the training"))
    precision: Literal["float32", "bfloat16", "auto"] = Field(
        "float32", title=N_("Precision"), description=N_("number format of the computation")
    )
    device: str = Field("auto", title=N_("Device"), description=N_("compute device: auto, cpu, cuda, cuda:1 or mps"))
    gradient_checkpointing: StrictBool = Field(
        False,
        title=N_("Gradient checkpointing"),
        description=N_("recompute activations: much less memory, about a third more time, same results"),
    )
    channels_last: Literal["auto", "on", "off"] = Field(
        "auto",
        title=N_("Channels last"),
        description=N_("memory format of the convolutions; auto selects the faster one"),
    )
    compile: StrictBool = Field(
        False,
        title=N_("Compile"),
        description=N_("compile the backbone with torch.compile; slow to start, then faster if supported"),
    )
