-- Run once, when PostgreSQL starts on an empty volume. Prefect's database is made by the image.
CREATE DATABASE mlflow;
