"""What components may reach outside the lattice, and how: hosts that they were given, and nothing else."""
