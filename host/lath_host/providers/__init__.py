"""The providers of a host: in processes of their own that it supervises, or built in."""
