"""Pure functions of arrays: what a network computes. They know no GPU; `grilly.jit` runs them on one."""

from .conv import conv2d as conv2d
from .conversion import activation_scale as activation_scale
from .conversion import fuse_batch_norm as fuse_batch_norm
from .dropout import dropout as dropout
from .encoding import direct as direct
from .encoding import poisson as poisson
from .interval import bound_scale as bound_scale
from .linear import flatten as flatten
from .linear import linear as linear
from .linear import relu as relu
from .loss import check_labels as check_labels
from .loss import cross_entropy as cross_entropy
from .loss import mse as mse
from .net import Network as Network
from .net import detach_net as detach_net
from .net import reset_net as reset_net
from .net import set_step_mode as set_step_mode
from .neuron import if_step as if_step
from .neuron import initial_v as initial_v
from .neuron import lif_step as lif_step
from .neuron import plif_step as plif_step
from .norm import batch_norm as batch_norm
from .params import IFParams as IFParams
from .params import LIFParams as LIFParams
from .params import PLIFParams as PLIFParams
from .pool import avg_pool2d as avg_pool2d
from .pool import max_pool2d as max_pool2d
from .rate import change_step as change_step
from .rate import halfway_v as halfway_v
from .rate import scale_voltage as scale_voltage
from .rate import total_step as total_step
from .sequence import Step as Step
from .sequence import sequence as sequence
from .surrogate import ATan as ATan
from .surrogate import FastSigmoid as FastSigmoid
from .surrogate import Sigmoid as Sigmoid
from .surrogate import Surrogate as Surrogate

__all__ = [
    "ATan",
    "FastSigmoid",
    "IFParams",
    "LIFParams",
    "Network",
    "PLIFParams",
    "Sigmoid",
    "Step",
    "Surrogate",
    "activation_scale",
    "avg_pool2d",
    "batch_norm",
    "bound_scale",
    "change_step",
    "check_labels",
    "conv2d",
    "cross_entropy",
    "detach_net",
    "direct",
    "dropout",
    "flatten",
    "fuse_batch_norm",
    "halfway_v",
    "if_step",
    "initial_v",
    "lif_step",
    "linear",
    "max_pool2d",
    "mse",
    "plif_step",
    "poisson",
    "relu",
    "reset_net",
    "scale_voltage",
    "sequence",
    "set_step_mode",
    "total_step",
]
