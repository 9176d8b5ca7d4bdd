"""`wasi:sockets` 0.2 for guests, answered from Python: TCP, UDP and the look-up of names.

Sockets are the system's own, without blocking; the event loop tells when they are ready. `network` knows
what a component may do, `guest_sockets` what each of its guests has of that. `tcp`, `udp` and `lookup` are
the interfaces, over `connection` and `descriptor`; `loopback` is the network that a guest has within itself.
"""
