"""Lets the modules beside the tests be imported by name."""

import importlib.util
import sys
from pathlib import Path

for name in ("reference", "campaign"):
    spec = importlib.util.spec_from_file_location(f"tests_schedule_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
