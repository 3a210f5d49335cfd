"""Transforms of functions: pytrees in and out."""

from slope.api._associative import associative_scan as associative_scan
from slope.api._branches import cond as cond
from slope.api._branches import switch as switch
from slope.api._checkpoint import checkpoint as checkpoint
from slope.api._ctc import ctc_loss as ctc_loss
from slope.api._custom import custom_jvp as custom_jvp
from slope.api._custom import custom_vjp as custom_vjp
from slope.api._entries import Lowered as Lowered
from slope.api._grad import grad as grad
from slope.api._grad import value_and_grad as value_and_grad
from slope.api._jacobians import hessian as hessian
from slope.api._jacobians import jacfwd as jacfwd
from slope.api._jacobians import jacrev as jacrev
from slope.api._jit import Jit as Jit
from slope.api._jit import jit as jit
from slope.api._loops import fori_loop as fori_loop
from slope.api._loops import while_loop as while_loop
from slope.api._nans import debug_nans as debug_nans
from slope.api._products import jvp as jvp
from slope.api._products import linearize as linearize
from slope.api._products import vjp as vjp
from slope.api._scan import map_ as map_
from slope.api._scan import scan as scan
from slope.api._vmap import vmap as vmap
