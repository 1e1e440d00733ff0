# A worker with Kern installed. Put your own code into /app, by a mount or by an image made from this one, and say in
# KERN_APP which of it `kern worker --app` loads.

FROM python:3.12-slim AS build
RUN pip install --no-cache-dir uv==0.13.9
ENV UV_PROJECT_ENVIRONMENT=/opt/kern \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never
WORKDIR /src
# The libraries change less often than the code, so they have a layer of their own.
COPY pyproject.toml uv.lock ./
RUN uv sync --locked --no-dev --no-install-project
COPY README.md LICENSE ./
COPY workflows workflows
COPY activities activities
COPY client client
COPY kern kern
RUN uv sync --locked --no-dev --no-editable

FROM python:3.12-slim
RUN useradd --system --uid 10001 --create-home --home-dir /home/kern kern \
    && install --directory --owner=kern /app
COPY --from=build /opt/kern /opt/kern
ENV PATH=/opt/kern/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    KERN_APP=app \
    KERN_HEALTH_PORT=8080
USER kern
WORKDIR /app
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['KERN_HEALTH_PORT'] + '/healthz', timeout=4)"]
# `exec`, so that the worker is the process that a stop signals, and can finish what it is at.
ENTRYPOINT ["sh", "-c", "exec kern worker --app \"$KERN_APP\" \"$@\"", "--"]
