"""Tasks: loss, metrics, chance level, model selection and read-out."""
