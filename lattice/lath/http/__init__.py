"""HTTP between components, providers and clients."""

from lath.http.messages import Header, HttpRequest, HttpResponse, ResponseBody, Trailers, WholeBody

__all__ = ["Header", "HttpRequest", "HttpResponse", "ResponseBody", "Trailers", "WholeBody"]
