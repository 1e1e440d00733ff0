"""`/healthz` says that a process lives, `/readyz` that it can work."""

from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter
from fastapi.responses import JSONResponse

# Answers whether the process can work, and with what to say of its parts.
Readiness = Callable[[], Awaitable[tuple[bool, Mapping[str, object]]]]
_METHODS = ["GET", "HEAD"]


def health_router(readiness: Readiness) -> APIRouter:
    """Return the routes of health; what they say holds no address and no secret."""
    router = APIRouter(include_in_schema=False)

    async def alive() -> dict[str, bool]:
        return {"alive": True}

    async def ready() -> JSONResponse:
        is_ready, parts = await readiness()
        return JSONResponse({"ready": is_ready, **parts}, 200 if is_ready else 503)

    router.add_api_route("/healthz", alive, methods=_METHODS)
    router.add_api_route("/readyz", ready, methods=_METHODS)
    return router
