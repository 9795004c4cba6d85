"""Testing support, part of the public API: fakes, fault plans, virtual clocks and leak checks."""
