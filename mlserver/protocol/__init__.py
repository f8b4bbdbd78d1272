"""Label Studio's ML protocol."""
