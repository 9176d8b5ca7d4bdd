"""Programs that serve HTTP through CGI (RFC 3875): one run for each request, in an instance of its own."""
