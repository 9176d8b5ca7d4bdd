"""What the providers of wasmcloud:messaging have in common, whatever carries their messages."""
