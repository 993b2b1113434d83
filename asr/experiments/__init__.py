"""What a run logs -> MLflow, whether a server answers or not; and what is done with finished runs."""
