"""What is asked of a network: loss, metrics, chance, selection and read-out."""
