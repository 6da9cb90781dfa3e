"""The model service: calibrated consensus of an ensemble, over the Open Inference Protocol and strict JSON."""

__version__ = "0.1.0"
