"""Load on a served process: a thousand who poll, readers, batches, idle and slow connections."""
