"""Optimising a graph's prompts with DSPy: signatures from node types, demonstrations from runs."""

from dagflow.optimize.compiled import CompiledGraph, compile_graph
from dagflow.optimize.examples import Example, field_match, trace_to_examples
from dagflow.optimize.optimized_lm import OptimizedLM
from dagflow.optimize.predictors import Predictor
from dagflow.optimize.report import NodeReport, OptimizationReport

__all__ = [
    "CompiledGraph",
    "Example",
    "NodeReport",
    "OptimizationReport",
    "OptimizedLM",
    "Predictor",
    "compile_graph",
    "field_match",
    "trace_to_examples",
]
