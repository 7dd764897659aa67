# syntax=docker/dockerfile:1
# The image of every service in docker-compose.yml, one target each:
#   docker build --target api .       HTTP and migrations; neither torch nor transformers in it
#   docker build --target worker .    the same and both of them
#   postgres, redis                   the stock images, pinned here

FROM postgres:16 AS postgres

FROM redis:7 AS redis

FROM python:3.11-slim AS base
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PATH=/opt/venv/bin:$PATH
RUN python -m venv /opt/venv
WORKDIR /app

# The dependencies and the command `gblend-server`, which imports from /app: a change of the code installs nothing again.
FROM base AS dependencies
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
      print(*p['dependencies'], *(d for e in ('s3', 'gs', 'hf', 'video') for d in p['optional-dependencies'][e]), sep='\n')" \
      > requirements.txt \
    && grep -vE '^(torch|transformers|tokenizers)\b' requirements.txt > requirements.api.txt \
    && pip install -c constraints.txt -r requirements.api.txt \
    && touch README.md \
    && pip install --no-deps -e .

# torch as the lock names it brings CUDA; with an index of CPU builds here the image is gigabytes smaller.
FROM dependencies AS dependencies-with-torch
ARG PIP_EXTRA_INDEX_URL=
RUN pip install -c constraints.txt -r requirements.txt

FROM scratch AS source
COPY alembic.ini /app/
COPY migrations /app/migrations
COPY core /app/core
COPY api /app/api
COPY worker /app/worker

# `core` is a common name: PYTHONPATH makes sure that ours is the one that is found.
FROM base AS runtime
ENV PYTHONPATH=/app \
    OMP_NUM_THREADS=1 \
    MKL_NUM_THREADS=1 \
    OMP_WAIT_POLICY=PASSIVE \
    GBLEND_STATE_DIR=/var/lib/gblend \
    GBLEND_ROOTS__DATA=/data \
    GBLEND_ROOTS__MODELS=/models
RUN useradd --uid 10001 --create-home gblend \
    && mkdir /data /models \
    && install -d -o gblend -g gblend /var/lib/gblend
ENTRYPOINT ["gblend-server"]

FROM runtime AS api
COPY --from=dependencies /opt/venv /opt/venv
COPY --from=source /app /app
USER gblend
EXPOSE 8000
CMD ["api"]

FROM runtime AS worker
COPY --from=dependencies-with-torch /opt/venv /opt/venv
COPY --from=source /app /app
USER gblend
CMD ["worker"]
