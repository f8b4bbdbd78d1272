"""The operator REST API over the registry. It speaks its own terms: nothing here changes Label Studio's protocol."""
