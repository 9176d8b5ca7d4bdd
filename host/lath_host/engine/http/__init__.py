"""`wasi:http` 0.2 for guests, answered from Python: what they serve, and what they ask of others.

`exchange` hands a request to a component and gives its response; `messages` are those, as the host sees them.
Behind a guest's handles are `fields`, `requests`, `responses` and `outgoing`, over the streams of `bodies`.
"""
