"""Pages of docs/ whose tables a benchmark writes."""
