"""The expression language of YAML graphs: expressions over the state, and text with expressions in it.

An expression reads the state and computes with it; it cannot call methods, reach an attribute that is no field, change
anything, or take long. `FUNCTIONS` is the table of what it may call, `limits` are the bounds.
"""

from dagflow.declarative.expressions.expression import Expression, parse_expression
from dagflow.declarative.expressions.faults import ExpressionError
from dagflow.declarative.expressions.functions import FUNCTIONS, Function
from dagflow.declarative.expressions.scope import Scope
from dagflow.declarative.expressions.template import Template, parse_template
from dagflow.declarative.expressions.values import ValueTemplate, parse_value

__all__ = [
    "FUNCTIONS",
    "Expression",
    "ExpressionError",
    "Function",
    "Scope",
    "Template",
    "ValueTemplate",
    "parse_expression",
    "parse_template",
    "parse_value",
]
