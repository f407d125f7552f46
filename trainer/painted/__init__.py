"""Made-up defects on pictures of good parts: to choose, to check and to report without a labelled defect."""
