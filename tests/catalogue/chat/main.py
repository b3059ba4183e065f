"""A chat: an ASGI app with a WebSocket, whose notes are files."""

import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.responses import FileResponse, JSONResponse
from starlette.routing import Route, WebSocketRoute

DATA_DIR = Path(os.environ.get("DATA_DIR", "data"))
DATA_DIR.mkdir(exist_ok=True)
NOTES = DATA_DIR / "notes.txt"


async def index(request):
    """Return the notes."""
    notes = NOTES.read_text().splitlines() if NOTES.exists() else []
    return JSONResponse({"version": 1, "notes": notes})


async def create(request):
    """Add a note, with a file or without."""
    async with request.form() as form:
        if file := form.get("file"):
            (DATA_DIR / file.filename).write_bytes(await file.read())
        with NOTES.open("a") as notes:
            notes.write(f"{form['text']}\n")
    return JSONResponse({})


async def download(request):
    """Return a file."""
    return FileResponse(DATA_DIR / request.path_params["name"])


async def chat(websocket):
    """Send back what is received."""
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(f"{text}, too")


app = Starlette(
    routes=[
        Route("/", index),
        Route("/notes", create, methods=["POST"]),
        Route("/files/{name}", download),
        WebSocketRoute("/chat", chat),
    ]
)
