# The worker image: what `pipelines.shard_job` imports, in the versions of requirements.lock, and nothing to train with.
# For `pipelines.transcribe` it is built with --build-arg MORE=,transcribe (torch, transformers, the voice detector).
FROM apache/beam_python3.11_sdk:2.77.0 AS beam

FROM python:3.11-slim
ARG MORE=
# One thread a process: there is a process for each core. No environment of its own for each of them at start.
ENV OMP_NUM_THREADS=1 \
    RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1
COPY --from=beam /opt/apache/beam /opt/apache/beam
WORKDIR /project
COPY . .
RUN pip install --no-cache-dir --constraint requirements.lock ".[beam,formats,gcp,aws${MORE}]" \
    && pip check \
    && python -c 'import av, gcsfs, s3fs, pipelines.shard_job'
ENTRYPOINT ["/opt/apache/beam/boot"]
