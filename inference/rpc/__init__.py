"""The wire side: convert, call, convert."""
