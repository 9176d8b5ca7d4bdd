"""The components of a host: how they are placed, called, linked, and what they call."""
