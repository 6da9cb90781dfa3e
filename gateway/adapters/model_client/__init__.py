"""The model service, asked by the Open Inference Protocol, and for what only Tollgate's own service knows.

client.py keeps the channel and asks, answers.py checks what is answered.
"""

from gateway.adapters.model_client.client import OipModel

__all__ = ["OipModel"]
