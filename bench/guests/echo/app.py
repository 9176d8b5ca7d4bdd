"""The Python component: gives back what it gets."""

from wit_world import exports


class Echo(exports.Echo):
    def echo(self, text: str) -> str:
        return text
