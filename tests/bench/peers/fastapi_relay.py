"""A relay with FastAPI: a WebSocket client asks, the answer of the model server is sent on token by token.

python3 fastapi_relay.py UPSTREAM_PORT    prints its port
"""
import asyncio
import json
import socket
import sys

import httpx
import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

UPSTREAM = f"http://127.0.0.1:{sys.argv[1]}/v1/chat/completions"
app = FastAPI()
client = httpx.AsyncClient(timeout=None, limits=httpx.Limits(max_connections=None))


async def relay(web: WebSocket, model: str, text: str) -> None:
    number = 0

    async def send(event: dict) -> None:
        nonlocal number
        await web.send_text(json.dumps({**event, "sequence_number": number}, separators=(",", ":")))
        number += 1

    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": text}]}
    async with client.stream("POST", UPSTREAM, json=body) as answer:
        await send({"type": "response.created"})
        async for line in answer.aiter_lines():
            payload = line.strip()[len("data: "):]
            if not payload or payload == "[DONE]":
                continue
            delta = json.loads(payload)["choices"][0]["delta"].get("content")
            if delta is not None:
                await send({"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0,
                            "content_index": 0, "delta": delta})
        await send({"type": "response.completed"})


@app.websocket("/v1/responses")
async def responses(web: WebSocket) -> None:
    await web.accept()
    try:
        while True:
            request = json.loads(await web.receive_text())
            await relay(web, request["model"], request["input"])
    except WebSocketDisconnect:
        pass


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(app, log_level="error", ws_ping_interval=None)
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))
