"""What users call inside steps, beside the flow itself: `metaflow.S3`."""
