"""Millrace: an independent implementation of the Metaflow API."""
