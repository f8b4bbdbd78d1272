# gunicorn's parser has no wheel for Linux; the compiler that makes one stays in this stage.
FROM python:3.12 AS wheels
WORKDIR /app
COPY requirements.txt ./
COPY deploy/requirements.txt deploy/
RUN --mount=type=cache,target=/root/.cache/pip pip wheel --wheel-dir /wheels -r deploy/requirements.txt


FROM python:3.12-slim

# The backend served at `/`. Named here, only its requirements are installed; else those of all.
ARG BACKEND=""

ENV PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore

# A number, so that Kubernetes can see that it is not root. What backends download goes to its home.
RUN useradd --uid 10001 --create-home mlserver \
    && install --directory --owner=mlserver --group=mlserver /data

WORKDIR /app

COPY requirements.txt ./
COPY deploy/requirements.txt deploy/
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links=/wheels -r deploy/requirements.txt

# Before the code, which changes more often than its libraries.
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,source=backends,target=/tmp/backends \
    for file in /tmp/backends/${BACKEND:-*}/requirements.txt; do \
        if [ -f "$file" ]; then pip install -r "$file" || exit 1; fi; \
    done

COPY . .
RUN python -m compileall -q .

ENV ML_BACKEND=$BACKEND \
    VAR_DIR=/data
USER 10001
EXPOSE 9090

HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ.get('PORT', '9090') + '/health', timeout=4)"]

CMD ["gunicorn", "-c", "python:mlserver.gunicorn_conf", "mlserver.wsgi"]
