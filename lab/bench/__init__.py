"""Outport next to the work by hand, on the same host under the same load: what `bin/bench` does."""
