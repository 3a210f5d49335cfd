"""What users call: functions that broadcast and promote, then call operators.

``slope`` exports every name here. Each module lists in its own ``__all__`` what users may call.

Operators without such a function are here as themselves, since printed programs call operators as
``slope.NAME``.
"""

from slope.functions import methods as methods  # makes the methods of tensors
from slope.functions import random as random
from slope.functions.random import rand as rand
from slope.functions.random import rand_like as rand_like
from slope.functions.random import randints as randint
from slope.functions.random import randn as randn
from slope.functions.random import randn_like as randn_like
from slope.ops import broadcast as broadcast
from slope.ops import conv as conv
from slope.ops import conv_input_grad as conv_input_grad
from slope.ops import conv_weight_grad as conv_weight_grad
from slope.ops import dot_general as dot_general
from slope.ops import gather as gather_slices
from slope.ops import integer_pow as integer_pow
from slope.ops import iota as iota
from slope.ops import max_with_indices as max_with_indices
from slope.ops import min_with_indices as min_with_indices
from slope.ops import pad as interior_pad
from slope.ops import scatter as scatter_slices
from slope.ops import slice_ as slice
from slope.ops import threefry2x32 as threefry2x32
from slope.ops import truncate_divide as truncate_divide
from slope.ops import window_max as window_max
from slope.ops import window_max_grad as window_max_grad
from slope.ops import window_sum as window_sum

from .activation_operators import *
from .activations import *
from .adaptive_pooling import *
from .arithmetic import *
from .arrangement import *
from .attention import *
from .combining import *
from .composites import *
from .contraction import *
from .convolution import *
from .creation import *
from .data_dependent import *
from .dropouts import *
from .elementwise import *
from .extremes import *
from .generator import *
from .grids import *
from .indexing import *
from .integrals import *
from .joining import *
from .label_losses import *
from .likelihoods import *
from .likeness import *
from .logic import *
from .losses import *
from .margins import *
from .masking import *
from .moment_operators import *
from .norm_operators import *
from .normalization import *
from .norms import *
from .ordering import *
from .padding import *
from .pooling import *
from .powers import *
from .products import *
from .quantiles import *
from .ranks import *
from .reductions import *
from .resizing import *
from .rounding import *
from .sampling import *
from .scattering import *
from .sections import *
from .selection import *
from .shapes import *
from .special_values import *
from .statistics import *
from .unpooling import *
from .windows import *

__all__: list[str] = [
    "broadcast",
    "conv",
    "conv_input_grad",
    "conv_weight_grad",
    "dot_general",
    "gather_slices",
    "integer_pow",
    "interior_pad",
    "iota",
    "max_with_indices",
    "min_with_indices",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "random",
    "scatter_slices",
    "slice",
    "threefry2x32",
    "truncate_divide",
    "window_max",
    "window_max_grad",
    "window_sum",
]
__all__ += activation_operators.__all__
__all__ += activations.__all__
__all__ += adaptive_pooling.__all__
__all__ += arithmetic.__all__
__all__ += arrangement.__all__
__all__ += attention.__all__
__all__ += combining.__all__
__all__ += composites.__all__
__all__ += contraction.__all__
__all__ += convolution.__all__
__all__ += creation.__all__
__all__ += data_dependent.__all__
__all__ += dropouts.__all__
__all__ += elementwise.__all__
__all__ += extremes.__all__
__all__ += generator.__all__
__all__ += grids.__all__
__all__ += indexing.__all__
__all__ += integrals.__all__
__all__ += joining.__all__
__all__ += label_losses.__all__
__all__ += likelihoods.__all__
__all__ += likeness.__all__
__all__ += logic.__all__
__all__ += losses.__all__
__all__ += margins.__all__
__all__ += masking.__all__
__all__ += moment_operators.__all__
__all__ += norm_operators.__all__
__all__ += normalization.__all__
__all__ += norms.__all__
__all__ += ordering.__all__
__all__ += padding.__all__
__all__ += pooling.__all__
__all__ += powers.__all__
__all__ += products.__all__
__all__ += quantiles.__all__
__all__ += ranks.__all__
__all__ += reductions.__all__
__all__ += resizing.__all__
__all__ += rounding.__all__
__all__ += sampling.__all__
__all__ += scattering.__all__
__all__ += sections.__all__
__all__ += selection.__all__
__all__ += shapes.__all__
__all__ += special_values.__all__
__all__ += statistics.__all__
__all__ += unpooling.__all__
__all__ += windows.__all__
