"""What lath costs: `python -m bench` measures, `python -m bench --base REF` compares two commits."""
