"""What this package adds to AllenNLP."""
