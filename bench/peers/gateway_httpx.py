"""Peer 1: a FastAPI gateway that asks the model service by httpx, with one shared client."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, Request

from bench.peers.contract import ConsensusRequest, ConsensusResponse, Prediction, judge


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One client for the life of the process, with httpx's own defaults."""
    async with httpx.AsyncClient(base_url=os.environ["MODEL_URL"]) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/api/ai/consensus")
async def consensus(question: ConsensusRequest, request: Request) -> ConsensusResponse:
    """Ask the model and judge its answer."""
    client: httpx.AsyncClient = request.app.state.client
    answer = await client.post("/predict", json={"features": question.features})
    answer.raise_for_status()
    return judge(Prediction.model_validate_json(answer.content))
