"""From a folder or a Parquet file of images to a Parquet file of verdicts, without a server: `mkd-score`."""
