"""What all routes share: bodies, ETags, paging, errors and the OpenAPI document."""
