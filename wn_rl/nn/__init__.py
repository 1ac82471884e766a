"""Weight normalization as a library: layers, rivals, initialization, conversion and folding of any network."""

from wn_rl.nn.conversion import plain, to_torch_parametrization, weight_normalize
from wn_rl.nn.folding import cached_weights, fold_, lent_weights, make_folded
from wn_rl.nn.initialization import initialize_from_data, scale_
from wn_rl.nn.normalizers import NORMALIZERS, make_normalizer, project_weights
from wn_rl.nn.optimizer_groups import make_parameter_groups
from wn_rl.nn.residual import Residual
from wn_rl.nn.weight_norm import compute_weight
from wn_rl.nn.weight_norm_layers import (
    WeightNormConv1d,
    WeightNormConv2d,
    WeightNormConv3d,
    WeightNormConvTranspose1d,
    WeightNormConvTranspose2d,
    WeightNormConvTranspose3d,
    WeightNormLinear,
)
from wn_rl.nn.weight_norm_recurrent import (
    WeightNormGRU,
    WeightNormGRUCell,
    WeightNormLSTM,
    WeightNormLSTMCell,
    WeightNormRNN,
    WeightNormRNNCell,
)

__all__ = [
    "NORMALIZERS",
    "Residual",
    "WeightNormConv1d",
    "WeightNormConv2d",
    "WeightNormConv3d",
    "WeightNormConvTranspose1d",
    "WeightNormConvTranspose2d",
    "WeightNormConvTranspose3d",
    "WeightNormGRU",
    "WeightNormGRUCell",
    "WeightNormLSTM",
    "WeightNormLSTMCell",
    "WeightNormLinear",
    "WeightNormRNN",
    "WeightNormRNNCell",
    "cached_weights",
    "compute_weight",
    "fold_",
    "initialize_from_data",
    "lent_weights",
    "make_folded",
    "make_normalizer",
    "make_parameter_groups",
    "plain",
    "project_weights",
    "scale_",
    "to_torch_parametrization",
    "weight_normalize",
]
