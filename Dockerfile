# The reconciler with its router, for the two Fly apps of fly.toml and fly.gateway.toml.
FROM python:3.12-slim AS build
WORKDIR /build
COPY pyproject.toml README.md ./
COPY reconciler reconciler
COPY router router
COPY localfly localfly
RUN pip install --no-cache-dir --prefix=/installed .

FROM python:3.12-slim
COPY --from=build /installed /usr/local
WORKDIR /fleet
COPY specs specs
RUN useradd --system --create-home --uid 10001 reconciler
USER reconciler
ENTRYPOINT ["reconciler"]
CMD ["run", "specs/"]
