# A registered model as a service. Fetch it first, with the tracking server that has it:
#   mlflow artifacts download --artifact-uri models:/whisper@champion --dst-path package
#   docker build --file docs/serve.Dockerfile --tag whisper-serve . && docker run --publish 5001:5001 whisper-serve
FROM python:3.11-slim
WORKDIR /service
COPY package/requirements.txt .
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu --requirement requirements.txt
COPY package package
EXPOSE 5001
# The address is that inside of the container; `docker run --publish` says who may ask.
CMD ["mlflow", "models", "serve", "--model-uri", "package", "--env-manager", "local", "--host", "0.0.0.0", "--port", "5001", "--workers", "1"]
