"""HTTP between components, providers and clients."""

from lath.http.messages import Header, HttpRequest, HttpResponse, ResponseBody, Trailers

__all__ = ["Header", "HttpRequest", "HttpResponse", "ResponseBody", "Trailers"]
