"""One module for each service of the proto: decode the request, call the domain, encode."""
