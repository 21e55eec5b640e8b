"""The plan: which Steps specs mean, each once, with every value's origin. Pure arithmetic: no store, no tensor."""

from simclr_spec.plan.compiler import compile
from simclr_spec.plan.step import Plan, Step, label

__all__ = ["Plan", "Step", "compile", "label"]
