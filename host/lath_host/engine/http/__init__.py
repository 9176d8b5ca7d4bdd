"""`wasi:http` 0.2 for guests, answered from Python: what they serve, and what they ask of others.

`exchange` hands a request to a component and gives its response; what guests ask of others is in `messages`.
Behind a guest's handles are `fields`, `requests`, `responses` and `outgoing`, over the streams of `bodies`.
"""
