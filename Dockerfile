# A worker with Kern installed, and what channels need. Put your own code into /app, with a mount or
# in an image built on this one, and name it in KERN_APP: `kern worker --app` loads it.

FROM python:3.12-slim AS build
RUN pip install --no-cache-dir uv==0.13.9
ENV UV_PROJECT_ENVIRONMENT=/opt/kern \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never
WORKDIR /src
# The libraries change less often than the code, so they have a layer of their own.
COPY pyproject.toml uv.lock ./
RUN uv sync --locked --no-dev --extra notify --no-install-project
COPY README.md LICENSE ./
COPY workflows workflows
COPY activities activities
COPY client client
COPY kern kern
RUN uv sync --locked --no-dev --extra notify --no-editable

FROM python:3.12-slim
RUN useradd --system --uid 10001 --create-home --home-dir /home/kern kern \
    && install --directory --owner=kern /app
COPY --from=build /opt/kern /opt/kern
ENV PATH=/opt/kern/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    KERN_HOME=/home/kern/.kern \
    KERN_APP=app \
    KERN_HEALTH_HOST=0.0.0.0 \
    KERN_HEALTH_PORT=8080
USER kern
WORKDIR /app
# Not by urllib, which would ask a proxy that the environment names.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['KERN_HEALTH_PORT']), timeout=4); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
# `exec` makes the worker the process that a stop signals, so that it can finish its work.
ENTRYPOINT ["sh", "-c", "exec kern worker --app \"$KERN_APP\" \"$@\"", "--"]
