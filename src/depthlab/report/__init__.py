"""MLflow to tables, figures and one page."""
