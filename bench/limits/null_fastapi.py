"""L2: a FastAPI application with one endpoint that returns a constant dictionary."""

from fastapi import FastAPI

app = FastAPI(openapi_url=None)


@app.get("/")
async def nothing() -> dict[str, str]:
    """Answer the same as L1, through the framework."""
    return {"status": "ok"}
