"""Peer 2: the FastAPI gateway of peer 1 with aiohttp's client, the quicker one, in httpx's place."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from fastapi import FastAPI, Request

from bench.peers.contract import ConsensusRequest, ConsensusResponse, Prediction, judge


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One client for the life of the process, with aiohttp's own defaults."""
    async with aiohttp.ClientSession(os.environ["MODEL_URL"]) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/api/ai/consensus")
async def consensus(question: ConsensusRequest, request: Request) -> ConsensusResponse:
    """Ask the model and judge its answer."""
    client: aiohttp.ClientSession = request.app.state.client
    async with client.post("/predict", json={"features": question.features}) as answer:
        answer.raise_for_status()
        return judge(Prediction.model_validate_json(await answer.read()))
