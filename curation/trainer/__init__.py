"""Training and evaluating a CLIP model on a release. Nothing here needs Spark."""
