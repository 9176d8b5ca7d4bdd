"""The provider SDK: subclass `Provider`, mark its operations, and run it anywhere.

class Redis(Provider):
    async def open_link(self, link: Link) -> redis.Redis: ...
    async def close_link(self, link: Link, client: redis.Redis) -> None: ...

    @operation("wasi:keyvalue/store")
    async def open(self, call: Call[redis.Redis], identifier: str) -> Bucket: ...

if __name__ == "__main__":
    Redis.main()
"""

from lath.backoff import Backoff
from lath.provider.base import Operation, Provider, ProviderContext
from lath.provider.call import Call
from lath.provider.errors import BackendLost, OpError
from lath.provider.instance import ProviderInstance
from lath.provider.interceptor import Interceptor, Next
from lath.provider.link import Link
from lath.provider.operation import operation
from lath.provider.resource import resource
from lath.provider.start import ProviderStart
from lath.streamed import ByteStream

__all__ = [
    "BackendLost",
    "Backoff",
    "ByteStream",
    "Call",
    "Interceptor",
    "Link",
    "Next",
    "OpError",
    "Operation",
    "Provider",
    "ProviderContext",
    "ProviderInstance",
    "ProviderStart",
    "operation",
    "resource",
]
