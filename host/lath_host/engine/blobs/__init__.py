"""`wasi:blobstore` for guests: values and listings are the host's own, all else goes by the link.

A guest writes and reads values by native streams. On the way to a provider and back they are byte streams
(`lath.streamed`): `forwarding` stands between the two, behind the guest's handles are `outgoing`, `incoming`
and `listing`.
"""
