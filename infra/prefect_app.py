"""Prefect's server application, answering known names only. Run by uvicorn in a process of its own."""

import os
from typing import Any

from prefect.server.api.server import create_app
from starlette.middleware.trustedhost import TrustedHostMiddleware

from infra.prefect_server import ALLOWED_HOSTS


def application() -> Any:
    """The application; a request for another ``Host`` gets status 400."""
    app = create_app()
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=os.environ[ALLOWED_HOSTS].split(","))
    return app
