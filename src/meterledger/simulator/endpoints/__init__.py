"""The API's endpoints, a file for each resource: a request in, the document of its answer out."""
