"""The peers' model service: FastAPI around the same graph, one prediction a request.

MODEL_PATH names the graph. The session has the options that the real service uses.
"""

import os

import numpy as np
import onnxruntime as ort
from fastapi import FastAPI
from pydantic import BaseModel, FiniteFloat

FEATURES = ("mom_20", "rv_5", "rsi_14")


class PredictRequest(BaseModel):
    """One row of features by name."""

    features: dict[str, FiniteFloat]


class PredictResponse(BaseModel):
    """The ensemble's opinion of the row."""

    prob_long: float
    confidence: float
    model_version: str


def open_session(path: str) -> ort.InferenceSession:
    """The graph on one thread, without spinning."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


path = os.environ["MODEL_PATH"]
session = open_session(path)
version = os.path.basename(os.path.dirname(path))  # noqa: PTH119, PTH120 # as such a service would have it
app = FastAPI()


@app.post("/predict")
async def predict(request: PredictRequest) -> PredictResponse:
    """Run the graph on one row; 30 microseconds, so the event loop does it itself."""
    row = np.array([[request.features[name] for name in FEATURES]], dtype=np.float32)
    prob_long, confidence = session.run(("prob_long", "confidence"), {"features": row})
    return PredictResponse(prob_long=prob_long[0, 0], confidence=confidence[0, 0], model_version=version)
