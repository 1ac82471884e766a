"""What the paper's experiments are told: the settings of configs/paper/, each with its bounds."""

from dataclasses import dataclass

from wn_rl.nn import NORMALIZERS
from wn_rl.system.cpu import thread_count
from wn_rl.system.fields import limit, number, one_of, setting, switch, text, text_or_null, whole, whole_or_null


@dataclass(frozen=True, kw_only=True)
class ExperimentSettings:
    """Those of every experiment."""

    experiment: str = setting(text)
    preset: str | None = setting(text_or_null)
    normalizer: str = setting(one_of(NORMALIZERS))
    seed: int = setting(whole(0))
    data_dir: str = setting(text, changeable=True)
    run_dir: str | None = setting(text_or_null)
    resume: str | None = setting(text_or_null)
    num_epochs: int = setting(whole(1, 100_000))
    batch_size: int = setting(whole(2, 65_536))
    learning_rate: float = setting(number(above=0, maximum=1e3))
    num_train_images: int | None = setting(whole_or_null(2))
    num_test_images: int | None = setting(whole_or_null(2))
    accelerator: str = setting(one_of(("auto", "cpu", "gpu")))
    num_threads: int = setting(thread_count, changeable=True)
    progress: bool = setting(switch, changeable=True)


@dataclass(frozen=True, kw_only=True)
class Cifar10Settings(ExperimentSettings):
    """Those of ConvPool-CNN-C on CIFAR-10."""

    width: float = setting(number(above=0, maximum=16))
    initialization_batch_size: int = setting(whole(2, 65_536))


@dataclass(frozen=True, kw_only=True)
class AutoencoderSettings(ExperimentSettings):
    """Those of the variational autoencoder on MNIST."""

    posterior: str = setting(one_of(("diagonal", "iaf")))
    width: float = setting(number(above=0, maximum=16))
    num_latents: int = setting(whole(1, 4096))
    num_flow_steps: int = setting(whole(1, 64))
    num_flow_units: int = setting(whole(1, 65_536))
    average_epochs: float = setting(number(above=0))
    initialization_batch_size: int = setting(whole(2, 65_536))


PER_EXAMPLE_WEIGHTS = ("none", "weight_norm", "weight_norm_projected_v", "projection")
"""Normalizers under which one layer can be applied at every glimpse: those of weights, and not of activations."""


@dataclass(frozen=True, kw_only=True)
class DrawSettings(ExperimentSettings):
    """Those of DRAW on MNIST."""

    normalizer: str = setting(one_of(PER_EXAMPLE_WEIGHTS))
    num_glimpses: int = setting(whole(1, 1024))
    attention: bool = setting(switch)
    num_units: int = setting(whole(1, 65_536))
    num_latents: int = setting(whole(1, 65_536))
    initial_weight_std: float = setting(number(above=0, maximum=1e3))
    max_gradient_norm: float | None = setting(limit)
